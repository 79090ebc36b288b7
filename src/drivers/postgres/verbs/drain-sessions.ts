/**
 * Lets sessions leave before a primary ends on purpose. No transaction is open by then (end-transactions.ts), and balancers let
 * none begin: they take their sessions off this server. The primary waits for as long as sessions grow fewer, or until balancers say
 * that no session of theirs needs anything more from it: then the end of the server is what makes them leave. Mostly that is so when
 * the hold succeeds, and then this wait is left out (demote.ts).
 *
 * What is left are clients that are connected past the balancers, and those of a balancer that has not heard. A transaction that
 * they began just now is waited for; younger ones are not, because the next follows each and waiting would never end.
 * There is no way back from here: sessions that have left would have to log in again, and those that cannot move were closed.
 *
 * New logins are refused when it takes longer than a moment. Not at once: a balancer that has not heard yet would be refused with
 * an error that its client sees, while a server that is shutting down refuses with one that balancers understand (57P03).
 */
import { sleep } from '../../../lib/clock.ts'
import type { Replica } from '../replica.ts'
import { clientSessions } from '../server/client-sessions.ts'

export const LOOK_EVERY_MS = 5
/** A balancer that has not said by now that it has heard is on a node that does not talk to us, and has no clients here for long. */
export const HEARD_WITHIN_MS = 1_000
/** What a balancer had passed on when it heard has begun here by then. */
export const ON_ITS_WAY_MS = 100
/** Balancers have taken away all that they can when the sessions have not grown fewer for so long. */
const QUIET_MS = 100

/** Resolves when the server may end, at the latest after `drainMs`. Rejects only when it is called off by `signal`. */
export async function drain(
  replica: Replica,
  balancers: { isReady(): boolean; haveHeard(): boolean },
  signal: AbortSignal,
): Promise<void> {
  try {
    await untilTheyLeft(replica, balancers, signal)
  } catch {
    // A server that cannot be asked: it ends without it, and what was acknowledged is on the quorum.
  }
  if (!signal.aborted) return
  replica.draining = false
  if (replica.runs) replica.reload()
  signal.throwIfAborted()
}

async function untilTheyLeft(
  replica: Replica,
  balancers: { isReady(): boolean; haveHeard(): boolean },
  signal: AbortSignal,
): Promise<void> {
  const { clock, options } = replica.parts
  const beganAt = clock.mono()
  let fewest = Number.POSITIVE_INFINITY
  let fewerAt = beganAt
  let heardAt: number | undefined
  while (!signal.aborted && !balancers.isReady()) {
    const sessions = await clientSessions(replica.session)
    const now = clock.mono()
    if (sessions.length < fewest) [fewest, fewerAt] = [sessions.length, now]
    const forMs = now - beganAt
    if (balancers.haveHeard() || forMs >= HEARD_WITHIN_MS) heardAt ??= now
    const heardForMs = heardAt === undefined ? 0 : now - heardAt
    const isOld = sessions.some((one) => one.busy && one.forMs > heardForMs - ON_ITS_WAY_MS)
    const isQuiet = heardForMs >= ON_ITS_WAY_MS && now - fewerAt >= QUIET_MS
    if (sessions.length === 0 || (isQuiet && !isOld) || forMs >= options.timing.drainMs) return
    if (!replica.draining && heardForMs >= ON_ITS_WAY_MS) {
      replica.draining = true
      replica.reload()
    }
    await sleep(clock, LOOK_EVERY_MS)
  }
}
