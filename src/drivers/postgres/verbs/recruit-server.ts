/**
 * Makes sure that this replica will never again acknowledge anything for an older primary, and only then reads its
 * position.
 *
 * Why it is done in this order:
 *
 *     1. the pledge, on the disk: a server or agent that is restarted from here on comes up without a receiver;
 *     2. the key: a receiver reads its password from a file when it connects. Without the file no receiver that is started
 *        from now on, with which settings whatsoever, can stream. That closes a gap that watching cannot: a server that
 *        was about to start a receiver when it was told not to. The next file fits the next primary only (`keyText`);
 *     3. conninfo empty and reload: a healthy server ends its receiver by itself;
 *     4. SIGTERM to the receivers that are there: a server whose replay is busy, paused or blocked does not (trap 1,
 *        measured). By process number, because pg_terminate_backend does not work on receivers (trap 2);
 *     5. nothing left, seen twice in the kernel's list of children and once by the server: a receiver writes down what it
 *        has as its last act, so the position is read after it is gone (trap 3);
 *     6. paused replay goes on: it would cost a promotion one second.
 */
import type { Term } from '../../../core/model.ts'
import type { Position } from '../../../core/replicated/quorum-config.ts'
import { UnderstudyError } from '../../../errors.ts'
import { sleep } from '../../../lib/clock.ts'
import { signal } from '../../../lib/proc.ts'
import { until } from '../../../lib/until.ts'
import { mayReceive } from '../files/durable-record.ts'
import { includeOurs } from '../files/server-settings.ts'
import type { Replica } from '../replica.ts'
import { receiversOf, slotWorkersOf } from '../server/postmaster.ts'
import { type LogState, logState, positionIn } from '../server/replica-position.ts'

/** The SQLSTATE of a server that starts, ends, or is a standby that is not consistent yet. */
const STARTING = '57P03'

/** Null: it is pledged and has no data, so it says nothing about what was acknowledged. */
export async function recruit(replica: Replica, term: Term): Promise<Position | null> {
  const wasPrimary = await pledgeOrEnd(replica, term)
  const isThere = replica.parts.folder.content() === 'data' && !replica.record.torn
  // Without its data it says nothing, and must not go on either: a server outlives its folder.
  if (!isThere && replica.runs) await replica.end('immediate', 500, `recruited for term ${term}, and its data is gone`)
  if (!isThere) return null
  if (wasPrimary) await replica.end('immediate', 500, `recruited for term ${term}`)
  if (replica.runs) await stopReceiving(replica)
  else await replica.start()
  return settledPosition(replica)
}

/** A disk that takes no pledge must not keep an old primary: a primary needs no pledge to end. */
async function pledgeOrEnd(replica: Replica, term: Term): Promise<boolean> {
  try {
    return pledge(replica, term)
  } catch (error) {
    const isRefusal = error instanceof UnderstudyError
    if (!isRefusal && replica.record.leading) await replica.end('immediate', 500, `term ${term} was won`)
    throw error
  }
}

/** Writes the pledge down; true when it led until now. */
export function pledge(replica: Replica, term: Term): boolean {
  const { pledged, following, leading, suspect } = replica.record
  if (term < pledged)
    throw new UnderstudyError('UND_REFUSED', `pledged to term ${pledged}, which is higher than ${term}`)
  if (mayReceive(replica.record) && following?.quorum.term === term) {
    throw new UnderstudyError('UND_REFUSED', `it follows ${following.primary.node}, the primary of term ${term}`)
  }
  if (leading !== null && leading.term >= term) {
    throw new UnderstudyError('UND_REFUSED', `it is primary, or is being promoted, in term ${leading.term}`)
  }
  const leads = leading !== null
  replica.parts.record.change({ pledged: term, following: null, leading: null, suspect: suspect || leads })
  replica.takeKey()
  return leads
}

/** Steps 2 to 5, for a server that runs as a standby. */
export async function stopReceiving(replica: Replica): Promise<void> {
  const { postmaster } = replica
  if (!postmaster) return
  replica.takeKey()
  // What ALTER SYSTEM put into postgresql.auto.conf comes after ours, and would be in force for good.
  includeOurs(replica.parts.folder, replica.parts.folder.data)
  replica.reload()
  // A promotion waits for it, and it waits for an answer of the old primary, which may never come.
  for (const worker of slotWorkersOf(postmaster.identity)) signal(worker, 'SIGTERM')
  let emptyLooks = 0
  const patience = { clock: replica.parts.clock, everyMs: 1, withinMs: replica.parts.options.timing.fenceMs }
  await until({ ...patience, what: 'the end of the receiver' }, async () => {
    const receivers = receiversOf(postmaster.identity)
    for (const receiver of receivers) signal(receiver, 'SIGTERM')
    // The kernel's list may leave one out while others end: one empty look is not enough.
    emptyLooks = receivers.length === 0 ? emptyLooks + 1 : 0
    return emptyLooks >= 2 && (await serverAgrees(replica).catch((error) => unlessStarting(replica, error)))
  })
}

/** It answers when it has replayed what makes it whole: asked again until then. */
async function unlessStarting({ parts }: Replica, error: unknown): Promise<false> {
  if ((error as { code?: unknown }).code !== STARTING) throw error
  await sleep(parts.clock, 5) // each question is a new process
  return false
}

/** It is still recruited: checked again before a promotion. */
export async function receivesNothing(replica: Replica): Promise<boolean> {
  if (!replica.postmaster || receiversOf(replica.postmaster.identity).length > 0) return false
  return serverAgrees(replica)
}

async function serverAgrees(replica: Replica): Promise<boolean> {
  const row = await replica.session.one(
    `select current_setting('primary_conninfo') as conninfo, current_setting('restore_command') as restore,
       (select count(*) from pg_stat_wal_receiver where pid is not null)::int as receivers`,
  )
  return row.conninfo === '' && row.restore === '' && row.receivers === 0
}

/** Step 6, and the position when it can be trusted: a replica that was restarted first replays all that it has (trap 18). */
export async function settledPosition(replica: Replica): Promise<Position> {
  return positionIn(replica, await settled(replica))
}

export async function settled(replica: Replica): Promise<LogState> {
  const { clock, options } = replica.parts
  const startedAt = clock.mono()
  const patience = { clock, everyMs: 2, withinMs: options.timing.fenceMs, what: 'replay of all that is here' }
  return until(patience, async () => {
    const state = await logState(replica.session)
    if (state.paused) await goOnReplaying(replica)
    if (state.received !== null || state.exhausted) return state
    if (clock.mono() - startedAt > 50) await endOpenTransactions(replica)
    return null
  })
}

/** One that has less than its primary would end when it is told to go on: it is started anew, with as much (standby-capacity.ts). */
async function goOnReplaying(replica: Replica): Promise<void> {
  const less = await replica.shortfall(replica.session)
  if (less === null) return void (await replica.session.query('select pg_wal_replay_resume()'))
  await replica.end('immediate', 500, `started anew, because ${less}`)
  await replica.start()
}

/** Clients' queries on a standby may block replay for as long as max_standby_streaming_delay: they are ended. */
export async function endOpenTransactions(replica: Replica): Promise<void> {
  await replica.session.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where backend_type = 'client backend' and pid <> pg_backend_pid() and xact_start is not null`,
  )
}
