/**
 * Makes this replica the primary of a quorum: the setting in force first, then promotion, then the durable quorum row.
 *
 * The setting is verified while the server is still in recovery, so there is no moment at which it could acknowledge
 * with less. Until the row is durable no client is admitted; its return proves that the quorum works and that it has
 * everything before the row, which after a crash includes what was never acknowledged (trap 9). The same path serves a
 * promotion, its repetition after a crash half way, and the restart of a primary in place.
 */
import type pg from 'pg'
import type { QuorumConfig } from '../../../core/replicated/quorum-config.ts'
import { UnderstudyError } from '../../../errors.ts'
import { sleep } from '../../../lib/clock.ts'
import { until } from '../../../lib/until.ts'
import { mayReceive } from '../files/durable-record.ts'
import { slotName } from '../files/server-settings.ts'
import type { Replica } from '../replica.ts'
import { destroy, unlessOvertaken, within } from '../server/admin-session.ts'
import { insertQuorumRow, isOnQuorum, prepareCatalog } from '../server/catalog.ts'
import { openedBootstrap } from '../server/owner-password.ts'
import { positionIn } from '../server/replica-position.ts'
import { BRANCHES_KEPT } from '../server/wal-position.ts'
import { dropUnsafeSlots, leapForConsumers } from '../slots/user-slots.ts'
import { endOpenTransactions, receivesNothing, settled, stopReceiving } from './recruit-server.ts'
import { synchronousStandbyNames } from './synchronous-standbys.ts'

/** Mostly it is there at the first look; each look is a part of a failover. */
const ON_QUORUM_EVERY_MS = 3

/** Resolves when the quorum row is durable; `writeRow` goes on when that takes longer than it may. */
export async function promoteReplica(
  replica: Replica,
  quorum: QuorumConfig,
  writeRow: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  refuseUnlessRecruited(replica, quorum)
  const starts = !replica.runs
  if (starts) await replica.start(signal)
  await replica.untilItAnswers(signal)
  if (await replica.inRecovery()) await promote(replica, quorum, signal)
  else {
    // Before the minor versions of May 2025 no write waits until the checkpointer has begun: one that answers has (trap
    // 11).
    if (starts) await checkpoint(replica)
    await replica.reloadAndSee('synchronous_standby_names', synchronousStandbyNames(quorum))
  }
  // The agent that created the first replica may have died before it was ready.
  const { replicationPassword } = replica.parts
  const promotion = replica.record.lineage.at(-1)?.id ?? quorum.id
  if (quorum.term === 1)
    await prepareCatalog(replica.session, promotion, replicationPassword, openedBootstrap(replica.parts))
  await writeRow()
}

function refuseUnlessRecruited(replica: Replica, quorum: QuorumConfig): void {
  const { pledged, leading } = replica.record
  if (quorum.primary !== replica.parts.node)
    throw new UnderstudyError('UND_REFUSED', `that quorum config is for ${quorum.primary}`)
  if (leading?.term === quorum.term && leading.id === quorum.id) return // said once more
  if (pledged !== quorum.term || mayReceive(replica.record)) {
    throw new UnderstudyError('UND_REFUSED', `not recruited for term ${quorum.term}: pledged to ${pledged}`)
  }
  if (leading !== null)
    throw new UnderstudyError('UND_REFUSED', `it is primary under another QuorumConfig of term ${leading.term}`)
  if (replica.record.quarantinedUntil !== null) {
    throw new UnderstudyError('UND_REFUSED', 'it was rewound or cloned and has not caught up: it cannot become primary')
  }
}

export async function promote(replica: Replica, quorum: QuorumConfig, signal: AbortSignal): Promise<void> {
  const { record, clock, options } = replica.parts
  if (!(await receivesNothing(replica))) await stopReceiving(replica)
  if (record.now.leading?.id !== quorum.id) {
    const { timeline } = positionIn(replica, await settled(replica))
    const branch = { term: quorum.term, id: quorum.id, after: timeline }
    const lineage = [...record.now.lineage, branch].slice(-BRANCHES_KEPT)
    record.change({ leading: quorum, lineage, suspect: false })
  }
  replica.durable = null
  await replica.reloadAndSee('synchronous_standby_names', synchronousStandbyNames(quorum))
  await dropUnsafeSlots(replica)
  const startedAt = clock.mono()
  let told = startedAt
  await replica.session.query('select pg_promote(false)')
  const patience = { clock, everyMs: 3, withinMs: options.timing.promoteMs, what: 'the end of recovery', signal }
  await until(patience, async () => {
    if (!(await replica.inRecovery())) return true
    // A client's query on this standby may be what replay waits for (measured: more than 8 s).
    if (clock.mono() - told > 40) {
      told = clock.mono()
      await endOpenTransactions(replica)
    }
    return false
  })
  await leapForConsumers(replica)
}

/** Slots for every node that may follow: without use they hold nothing back; `wal_keep_size` bridges until they are used. */
export async function ensureSlots(replica: Replica, nodes: readonly string[]): Promise<void> {
  const names = nodes.filter((node) => node !== replica.parts.node).map(slotName)
  const missing = await replica.session.query(
    `select name from unnest($1::text[]) as name
     where not exists (select 1 from pg_replication_slots where slot_name = name)`,
    [names],
  )
  for (const { name } of missing) {
    await unlessOvertaken(replica.session.query('select pg_create_physical_replication_slot($1)', [name]))
  }
}

/** Slots from the time when this replica was primary hold WAL back for no standby. */
export async function releaseSlots(replica: Replica): Promise<void> {
  const unused = await replica.session.query(
    `select slot_name as name from pg_replication_slots
     where slot_type = 'physical' and not active and restart_lsn is not null and slot_name like 'understudy\\_%'`,
  )
  for (const { name } of unused)
    await unlessOvertaken(replica.session.query('select pg_drop_replication_slot($1)', [name]))
}

/** A wait that has lasted for long is looked at less often: a twentieth of it, at most this. */
const ON_QUORUM_AT_MOST_EVERY_MS = 100

/**
 * Writes the quorum row, and resolves when its quorum has been seen to have it: without a deadline, because a wait that
 * is given up would leave the row visible and not acknowledged. Rejects when the server ends, and with the signal's
 * reason when another row took the place of this one: then it asks nothing more.
 */
export async function writeQuorumRow(
  replica: Replica,
  quorum: QuorumConfig,
  opening: Promise<pg.Client>,
  signal: AbortSignal,
): Promise<void> {
  const client = await opening
  const hangUp = () => destroy(client)
  signal.addEventListener('abort', hangUp, { once: true })
  try {
    signal.throwIfAborted()
    const { clock } = replica.parts
    const since = clock.mono()
    const log = await insertQuorumRow(client, quorum, replica.record.lineage.at(-1)?.id ?? quorum.id)
    // While a quorum changes its row may come before its setting: then the standbys of the setting must have it as
    // well.
    const isSeen = async () =>
      (await isOnQuorum(client, replica.record.leading ?? quorum, log)) && (await isOnQuorum(client, quorum, log))
    while (!(await isSeen())) {
      const waited = clock.mono() - since
      await sleep(clock, Math.max(ON_QUORUM_EVERY_MS, Math.min(ON_QUORUM_AT_MOST_EVERY_MS, waited / 20)))
      signal.throwIfAborted()
    }
  } finally {
    signal.removeEventListener('abort', hangUp)
    destroy(client)
  }
}

/** A connection for a quorum row. It may be opened while the promotion is under way: a new process takes its time. */
export function openForQuorumRow(replica: Replica): Promise<pg.Client> {
  return replica.spare.connect(replica.parts.options.timing.statementMs)
}

/** After a promotion a rewind looks at the last checkpoint, which is still of the old timeline (trap 21). */
export async function checkpoint(replica: Replica): Promise<void> {
  const { clock } = replica.parts
  const client = await replica.spare.connect(2_000)
  try {
    await within(clock, 60_000, 'a checkpoint', client.query('checkpoint'))
  } finally {
    destroy(client)
  }
}
