/**
 * When does a standby really stream, and what may keep it from that?
 *
 * A receiver is called streaming before the primary has accepted it. A primary that has not got the WAL any more, or no
 * slot, says so a moment later; the standby tries again ten times a second, for ever. So it is checked twice.
 *
 * A standby replays all that it has before it receives from another primary, and before it goes over to the timeline of
 * a promotion. A client's query can hold replay up for 30 s (max_standby_streaming_delay). When the primary changes,
 * all writes wait for the confirmation of such a standby, so what holds it up is ended; at any other time PostgreSQL's
 * own setting holds.
 */
import { sleep } from '../../../lib/clock.ts'
import { until } from '../../../lib/until.ts'
import type { PrimaryAddress } from '../../replica-driver.ts'
import type { Replica } from '../replica.ts'
import { endOpenTransactions } from '../verbs/recruit-server.ts'
import { renewSlot } from '../verbs/remote-primary.ts'

/** A receiver that the primary does not take ends within some milliseconds. */
const STEADY_MS = 150
/**
 * The primary makes slots for its synchronous standbys; one that is none yet, and waits for longer than this, asks for
 * its own.
 */
const SLOT_AFTER_MS = 500
/** What holds replay up for less than this is about to be over. */
const HELD_UP_MS = 50

const HELD_UP = `select 1 from pg_stat_activity where backend_type = 'startup'
  and (wait_event_type in ('Lock', 'BufferPin') or wait_event like 'RecoveryConflict%')`

/** `isNew`: it has not followed this primary before. */
export async function untilItStreams(
  replica: Replica,
  primary: PrimaryAddress,
  isNew: boolean,
  signal: AbortSignal,
): Promise<void> {
  const { clock, options } = replica.parts
  const what = `a stream from ${primary.node}`
  const patience = { clock, everyMs: 5, withinMs: options.timing.startMs, what, signal }
  let askedAt = clock.mono()
  let freeAt = clock.mono()
  await until(patience, async () => {
    if (await isTaken(replica, primary)) return true
    if (!isNew || (await replica.session.query(HELD_UP)).length === 0) freeAt = clock.mono()
    else if (clock.mono() - freeAt > HELD_UP_MS) await endOpenTransactions(replica)
    if (clock.mono() - askedAt < SLOT_AFTER_MS) return false
    await renewSlot(replica, primary).catch(() => {}) // the primary does not answer: asked again
    askedAt = clock.mono()
    return false
  })
}

export async function isTaken(replica: Replica, primary: PrimaryAddress): Promise<boolean> {
  const pid = await receiverFrom(replica, primary)
  if (pid === undefined) return false
  await sleep(replica.parts.clock, STEADY_MS)
  return (await receiverFrom(replica, primary)) === pid
}

async function receiverFrom(replica: Replica, primary: PrimaryAddress): Promise<unknown> {
  const [row] = await replica.session.query('select pid, sender_host, sender_port, status from pg_stat_wal_receiver')
  // The host as well: with a fixed port all servers have the same one.
  const isFrom = row?.sender_host === primary.host && row.sender_port === primary.port
  return row?.status === 'streaming' && isFrom ? row.pid : undefined
}
