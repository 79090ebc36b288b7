/** Changes the quorum of a primary, in the steps of synchronous-standbys.ts. */
import { sameConfig } from '../../../core/replicated/quorum.ts'
import type { QuorumConfig } from '../../../core/replicated/quorum-config.ts'
import { UnderstudyError } from '../../../errors.ts'
import { until } from '../../../lib/until.ts'
import type { Replica } from '../replica.ts'
import { logState } from '../server/replica-position.ts'
import { parseLsn } from '../server/wal-position.ts'
import { ensureSlots } from './promote-server.ts'
import { stepsBetween, synchronousStandbyNames } from './synchronous-standbys.ts'

/** `writeRow` writes the quorum row of the config that it is given, and resolves when its quorum has it. */
export async function changeQuorum(
  replica: Replica,
  to: QuorumConfig,
  writeRow: (quorum: QuorumConfig) => Promise<void>,
): Promise<void> {
  const { record } = replica.parts
  const from = record.now.leading
  if (!from || from.term !== to.term || from.primary !== to.primary) {
    throw new UnderstudyError('UND_REFUSED', `it is not primary in term ${to.term}`)
  }
  if (record.now.pledged > to.term) throw new UnderstudyError('UND_REFUSED', `pledged to term ${record.now.pledged}`)
  const steps = stepsBetween(from, to)
  // Room for all that come in, before anything depends on them.
  await ensureSlots(replica, to.standbys)
  await untilTheyCaughtUp(
    replica,
    to.standbys.filter((name) => !from.standbys.includes(name)),
  )
  for (const { quorum, first } of steps) {
    const isLate = first === 'row' && !(await inTime(writeRow(quorum)))
    record.change({ leading: quorum })
    await replica.reloadAndSee('synchronous_standby_names', synchronousStandbyNames(quorum))
    if (first === 'setting' || isLate) await writeRow(quorum)
  }
  // The setting is in force already and its row was not durable when it was last seen, or nothing but the id is new.
  if (steps.length === 0 && !sameConfig(replica.durable, to)) {
    await writeRow(to)
    record.change({ leading: to })
  }
}

/**
 * The row waits for the config before it, and the standbys that are to confirm it may be gone for good. Then the
 * setting comes first here too: every config on the way is on the cluster's record before the server learns of it, and
 * a recruitment beats all of them.
 */
async function inTime(written: Promise<void>): Promise<boolean> {
  try {
    await written
    return true
  } catch (error) {
    if (error instanceof UnderstudyError && error.code === 'UND_TIMED_OUT') return false
    throw error
  }
}

/** A standby counts only when it has everything up to the moment at which it came in (trap 17). */
async function untilTheyCaughtUp(replica: Replica, names: readonly string[]): Promise<void> {
  if (names.length === 0) return
  const { clock, options } = replica.parts
  const { log } = await logState(replica.session)
  const patience = {
    clock,
    everyMs: 10,
    withinMs: options.timing.quorumRowMs,
    what: `${names.join(', ')} with all that is here`,
  }
  await until(patience, async () => {
    const rows = await replica.session.query(
      `select application_name as node, flush_lsn::text as flushed from pg_stat_replication
       where state = 'streaming' and flush_lsn is not null`,
    )
    return names.every((name) => rows.some((row) => row.node === name && parseLsn(String(row.flushed)) >= log))
  })
}
