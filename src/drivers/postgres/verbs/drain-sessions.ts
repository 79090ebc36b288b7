/**
 * Lets transactions end before a primary ends on purpose. Everything here can be taken back.
 *
 * First it waits for the transactions that are open, while clients work on (`untilOpenEnds`). Then the balancers are
 * told that the primary stops: they hold what is new, move idle sessions away from this server, and go on with what is
 * in a transaction. So `drain` sees three kinds of sessions, and waits for each differently:
 *
 *     in a transaction since before the balancers heard  until it ends; when it does not in time, the switchover is called off
 *     idle                                               as long as they grow fewer: balancers are still moving theirs away
 *     in a younger transaction                           not at all: it came past the balancers, so the next one of that client
 *                                                        follows, and waiting would never end
 *
 * Each balancer says when it has heard; on a busy machine that takes longer than any constant, and a client of a
 * balancer that had not heard would be disconnected in the middle of a transaction.
 *
 * No new session is accepted when it takes longer than a moment. Not at once: the client of a balancer that has not
 * heard yet would get the error of the refusal, while the refusal of a server that is shutting down is recognised by
 * balancers (57P03).
 */
import { UnderstudyError } from '../../../errors.ts'
import { sleep } from '../../../lib/clock.ts'
import type { Replica } from '../replica.ts'
import { DOOR_ROLE } from '../role-names.ts'
import type { Row } from '../server/admin-session.ts'

const LOOK_EVERY_MS = 5
/** A balancer that has not answered by now is on a node that cannot reach us, and will not serve clients here for long. */
const DOORS_HEAR_MS = 1_000
/** What a balancer had passed on when it heard has begun here by then. */
const ON_ITS_WAY_MS = 100
/** Balancers have moved away all that they can when the sessions have not grown fewer for so long. */
const QUIET_MS = 100

/** Sessions of the balancers themselves and our own do not count. */
const SESSIONS = `
select pid, usename as who, application_name as program, state, state like 'idle in%' as idle_inside,
  coalesce(state, 'begins') not in ('idle', 'disabled') as busy,
  extract(epoch from clock_timestamp() - coalesce(xact_start, query_start, backend_start)) * 1000 as for_ms
from pg_stat_activity
where backend_type = 'client backend' and pid <> pg_backend_pid() and usename is distinct from '${DOOR_ROLE}'
  and application_name is distinct from 'understudy'`

/** Resolves when the server may end. Rejects with UND_TIMED_OUT, and the server is as it was, when a transaction does not end. */
export async function drain(replica: Replica, doorsHeard: () => boolean, signal: AbortSignal): Promise<void> {
  try {
    await wait(replica, doorsHeard, signal)
  } catch (error) {
    replica.draining = false
    if (replica.runs) replica.reload()
    throw error
  }
}

/**
 * Waits for the transactions that are open now, while all sessions work on. Most switchovers that are called off are
 * called off for one of these, and then no session has had to leave. Rejects with UND_TIMED_OUT when one does not end
 * in time.
 */
export async function untilOpenEnds(replica: Replica, signal: AbortSignal): Promise<void> {
  const { clock, options } = replica.parts
  const beganAt = clock.mono()
  for (;;) {
    const forMs = clock.mono() - beganAt // before the question, or what began just before this wait would seem to be younger
    const sessions = await replica.session.query(SESSIONS)
    const open = sessions.filter(({ busy, for_ms: age }) => busy === true && Number(age) >= forMs)
    if (open.length === 0) return
    if (forMs >= options.timing.drainMs) throw new UnderstudyError('UND_TIMED_OUT', whoStays(open, forMs))
    await sleep(clock, LOOK_EVERY_MS)
    signal.throwIfAborted()
  }
}

async function wait(replica: Replica, doorsHeard: () => boolean, signal: AbortSignal): Promise<void> {
  const { clock, options } = replica.parts
  const beganAt = clock.mono()
  let fewest = Number.POSITIVE_INFINITY
  let fewerAt = beganAt
  let heardAt: number | undefined
  for (;;) {
    const sessions = await replica.session.query(SESSIONS)
    const now = clock.mono()
    if (sessions.length < fewest) [fewest, fewerAt] = [sessions.length, now]
    const forMs = now - beganAt
    if (doorsHeard() || forMs >= DOORS_HEAR_MS) heardAt ??= now
    const heardForMs = heardAt === undefined ? 0 : now - heardAt
    const old = sessions.filter(({ busy, for_ms: age }) => busy === true && Number(age) > heardForMs - ON_ITS_WAY_MS)
    const isQuiet = heardForMs >= ON_ITS_WAY_MS && now - fewerAt >= QUIET_MS
    if (sessions.length === 0 || (old.length === 0 && isQuiet)) return
    if (old.length === 0 && forMs >= options.timing.drainMs) return
    if (forMs >= options.timing.drainMs) throw new UnderstudyError('UND_TIMED_OUT', whoStays(old, forMs))
    if (!replica.draining && heardForMs >= ON_ITS_WAY_MS) {
      replica.draining = true
      replica.reload()
    }
    await sleep(clock, LOOK_EVERY_MS)
    signal.throwIfAborted()
  }
}

function whoStays(sessions: readonly Row[], forMs: number): string {
  const [first] = sessions.toSorted((a, b) => Number(b.for_ms) - Number(a.for_ms))
  const count = sessions.length === 1 ? '1 transaction is' : `${sessions.length} transactions are`
  const program = first?.program ? `, ${first.program}` : ''
  const idle = first?.idle_inside === true ? ' and idle' : ''
  return (
    `${count} still open after ${(forMs / 1_000).toFixed(1)} s (the oldest: process ${first?.pid} of ${first?.who}${program}, ` +
    `open${idle} for ${(Number(first?.for_ms) / 1_000).toFixed(1)} s)`
  )
}
