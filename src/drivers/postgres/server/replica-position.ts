/** How far this replica is and what it is doing, asked of the server in one statement. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Position } from '../../../core/replicated/quorum-config.ts'
import type { Replica } from '../replica.ts'
import type { Session } from './admin-session.ts'
import {
  belowForks,
  type Fork,
  furthest,
  historyName,
  parseHistory,
  parseLsn,
  positionOf,
  timelineOfLog,
} from './wal-position.ts'

export interface LogState {
  readonly inRecovery: boolean
  /** Flushed here: all that a crash leaves. */
  readonly log: bigint
  readonly replayed: bigint
  /** Null: nothing was received since the server started. */
  readonly received: bigint | null
  /** All that is here has been replayed: said by the startup process itself, which waits for more. */
  readonly exhausted: boolean
  readonly paused: boolean
  readonly segmentBytes: bigint
}

const LOG_STATE = `
select pg_is_in_recovery() as recovery,
  case when pg_is_in_recovery() then pg_last_wal_receive_lsn() end::text as received,
  case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_flush_lsn() end::text as here,
  case when pg_is_in_recovery() then pg_is_wal_replay_paused() else false end as paused,
  (select setting from pg_settings where name = 'wal_segment_size') as segment,
  (select wait_event from pg_stat_activity where backend_type = 'startup') as waits`

/** The startup process waits in one of these when it has replayed all that it has. */
const WAITS_FOR_MORE = new Set(['RecoveryRetrieveRetryInterval', 'RecoveryWalStream', 'RecoveryWalAll'])

export async function logState(session: Session): Promise<LogState> {
  const row = await session.one(LOG_STATE)
  const text = (name: string) => (typeof row[name] === 'string' ? row[name] : null)
  const log = furthest(text('received'), text('here')) ?? 0n
  const received = text('received')
  const replayed = text('here')
  return {
    inRecovery: row.recovery === true,
    log,
    replayed: replayed === null ? 0n : parseLsn(replayed),
    received: received === null ? null : parseLsn(received),
    exhausted: row.recovery !== true || WAITS_FOR_MORE.has(text('waits') ?? ''),
    paused: row.paused === true,
    segmentBytes: BigInt(text('segment') ?? '16777216'),
  }
}

/** The timeline is read from the names of the WAL files: the server itself only tells the one of its last checkpoint. */
export function positionIn(replica: Replica, state: LogState): Position {
  const wal = join(replica.parts.folder.data, 'pg_wal')
  const named = timelineOfLog(readdirSync(wal), state.log, state.segmentBytes) ?? 1
  const timeline = belowForks(named, state.log, (number) => readHistory(join(wal, historyName(number))))
  return positionOf(replica.record.lineage, timeline, state.log)
}

function readHistory(path: string): readonly Fork[] | undefined {
  try {
    return parseHistory(readFileSync(path, 'utf8'))
  } catch {
    return undefined // timeline 1 has none
  }
}
