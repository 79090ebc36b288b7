/** Looks at the server all the time, in one statement, and keeps what it saw: `observe()` of the driver only reads memory. */
import { sameConfig } from '../../../core/replicated/quorum.ts'
import type { Position, QuorumConfig, ReplicaReport, Unfit } from '../../../core/replicated/quorum-config.ts'
import { isForeign } from '../copy/adopt-database.ts'
import { mayReceive } from '../files/durable-record.ts'
import type { Replica } from '../replica.ts'
import { NEWEST_QUORUM, quorumFromRow } from './catalog.ts'
import { logState, positionIn } from './replica-position.ts'
import { formatLsn } from './wal-position.ts'

export interface ServerLook {
  readonly inRecovery: boolean
  readonly position: Position
  readonly replayLagBytes: number
  readonly streaming: ReplicaReport['streaming']
  /** Its receiver is connected and gets WAL. */
  readonly receives: boolean
  /** The newest quorum config in its data. */
  readonly quorum: QuorumConfig | null
  /** Why it could not be promoted as it is. */
  readonly unfit: Unfit | null
}

export async function look(replica: Replica): Promise<ServerLook> {
  const state = await logState(replica.watcher)
  const rows = await replica.watcher.query(
    `select application_name as node, pg_wal_lsn_diff($1::text::pg_lsn, flush_lsn)::text as lag
     from pg_stat_replication where state in ('streaming', 'catchup') and flush_lsn is not null`,
    [formatLsn(state.log)],
  )
  const [receiver] = await replica.watcher.query(
    'select status, flushed_lsn::text as flushed from pg_stat_wal_receiver',
  )
  const quorum = await newestQuorum(replica)
  return {
    inRecovery: state.inRecovery,
    position: positionIn(replica, state),
    replayLagBytes: state.inRecovery ? Number(state.log - state.replayed) : 0,
    streaming: rows.map((row) => ({ node: String(row.node), lagBytes: Math.max(0, Number(row.lag)) })),
    receives: receiver?.status === 'streaming',
    quorum,
    unfit: state.inRecovery && state.paused ? await whyPaused(replica) : null,
  }
}

async function whyPaused(replica: Replica): Promise<Unfit> {
  const less = await replica.shortfall(replica.watcher)
  if (less === null) return { why: 'replay is paused: pg_wal_replay_resume() lets it go on', restartHelps: false }
  return { why: `replay is paused: ${less}`, restartHelps: true }
}

async function newestQuorum(replica: Replica): Promise<QuorumConfig | null> {
  const [there] = await replica.watcher.query("select to_regclass('understudy.quorum_rows') is not null as it")
  if (there?.it !== true) return null
  const [row] = await replica.watcher.query(NEWEST_QUORUM)
  return row ? quorumFromRow(row) : null
}

/** There is data, and nothing that is known here says how far it is. */
const SOMEBODYS: Position = { term: 0, timeline: 1, log: '0' }

/** What is told to the core; `sight` is null while the server does not answer. */
export function replicaReport(
  replica: Replica,
  sight: ServerLook | null,
  recruited: Position | null | undefined,
  heardAgoMs: number | undefined,
): ReplicaReport {
  const { pledged, leading, following, quarantinedUntil, suspect } = replica.record
  return {
    pledged,
    recruited: recruited !== undefined || isElected(leading, sight),
    // Once recruited the position of that moment counts: nothing can have been added to it.
    position: recruited !== undefined ? recruited : (sight?.position ?? (isForeign(replica) ? SOMEBODYS : null)),
    replayLagBytes: sight?.replayLagBytes ?? 0,
    // In force and durable: in the middle of a change one of the two may be ahead, and then neither is told.
    quorum: leading ? (sameConfig(leading, replica.durable) ? leading : null) : (sight?.quorum ?? null),
    quorumDurable: leading !== null && replica.quorumDurable && replica.runs,
    streaming: sight?.inRecovery === false ? sight.streaming : [],
    receivingFrom: sight?.receives && mayReceive(replica.record) ? (following?.primary.node ?? null) : null,
    ...(heardAgoMs === undefined || following === null ? {} : { heardAgoMs }),
    ...(sight?.unfit ? { unfit: sight.unfit } : {}),
    quarantined: quarantinedUntil !== null,
    diverged: suspect,
  }
}

/**
 * It wrote down that it leads, and its server or agent ended before it was promoted: it has received nothing since it was recruited
 * for that term, so that is what it still is. A second recruitment for the same term would be refused, again and again.
 */
function isElected(leading: QuorumConfig | null, sight: ServerLook | null): boolean {
  return leading !== null && sight?.inRecovery === true && !sight.receives
}

/** Has a rewound or cloned replica caught up, so that it counts again (trap 17)? */
export function hasCaughtUp(replica: Replica, sight: ServerLook): boolean {
  const { quarantinedUntil } = replica.record
  if (quarantinedUntil === null || !sight.receives) return false
  const replayed = BigInt(sight.position.log) - BigInt(sight.replayLagBytes)
  return replayed >= BigInt(quarantinedUntil)
}
