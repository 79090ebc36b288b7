/**
 * Ends leading on purpose. What can be done while clients still work comes first: a checkpoint, because a shutdown has to write all
 * that is dirty, and the logins of the balancers' sessions at the next primary, because those are what clients would wait for most.
 * Then transactions end (end-transactions.ts), which may fail, and then every session goes on as it was. Then sessions leave,
 * or are ready for the end of the server (drain-sessions.ts), which cannot fail; then the pledge, after which there is no way back; then the end.
 *
 * A clean shutdown lets the standbys have everything, the shutdown record included, so that the former primary has nothing of
 * its own afterwards and follows without a rewind. When standbys do not take it in time, the server is ended anyway: what was
 * acknowledged is on the quorum, and the rest was promised to no client.
 */
import type { Term } from '../../../core/model.ts'
import { UnderstudyError } from '../../../errors.ts'
import { sleep } from '../../../lib/clock.ts'
import type { Replica } from '../replica.ts'
import { endConsumers } from '../slots/user-slots.ts'
import { drain } from './drain-sessions.ts'
import { endTransactions, type HoldSteps } from './end-transactions.ts'
import { pledge } from './recruit-server.ts'

/** A balancer that has not told by now has too much to do, or no agent that it could tell. */
const AHEAD_WITHIN_MS = 1_500

export interface Steps extends HoldSteps {
  /** Have the balancers logged in at the next primary all that they can? */
  balancersWentAhead(): boolean
  /** From here on sessions leave, or the server is about to end. */
  stopping(): void
  /** Have all balancers heard of it? */
  balancersHeard(): boolean
  /** From here on there is no way back. */
  ending(): void
}

export async function demote(replica: Replica, term: Term, steps: Steps, signal: AbortSignal) {
  await leave(replica, steps, signal)
  steps.ending()
  if (pledge(replica, term)) await end(replica, steps, `demoted for term ${term}`)
}

/** The same without a successor: it pledges nothing, and is started again in its term. A standby ends at once. */
export async function endToReturn(replica: Replica, steps: Steps, signal: AbortSignal): Promise<void> {
  await leave(replica, steps, signal)
  steps.ending()
  await end(replica, steps, '')
}

/** Clients wait, and what is told makes work for every agent and balancer: so it is told when the server has begun to end. */
async function end(replica: Replica, steps: Steps, why: string): Promise<void> {
  const ended = replica.end('fast', replica.parts.options.timing.demoteMs, why)
  if (replica.runs) steps.stopping()
  await ended
}

/** Everything that may fail, and then nothing has happened. */
async function leave(replica: Replica, steps: Steps, signal: AbortSignal): Promise<void> {
  const leads = replica.record.leading !== null
  if (!leads || !replica.runs || replica.postmaster?.isFrozen) return
  await writeDirtyPages(replica, untilAhead(replica, steps, signal))
  signal.throwIfAborted()
  const isReady = await endTransactions(replica, steps, signal)
  if (!isReady()) {
    steps.stopping()
    await drain(replica, { isReady, haveHeard: () => steps.balancersHeard() }, signal)
  }
  await endConsumers(replica).catch(() => {}) // the end of the server ends them, later
  signal.throwIfAborted()
}

/**
 * The shutdown has to write all pages that are dirty then, while clients wait. One checkpoint begins at once, and one when `ahead`
 * has resolved: what became dirty until then would otherwise be left to the shutdown. Both together may take `demoteMs`.
 */
async function writeDirtyPages({ parts, session }: Replica, ahead: Promise<void>): Promise<void> {
  const { clock, options } = parts
  const untilMs = clock.mono() + options.timing.demoteMs
  const checkpoint = async (): Promise<void> => {
    const leftMs = untilMs - clock.mono()
    if (leftMs > 0) await session.query('checkpoint', [], leftMs).catch(() => {}) // the shutdown makes another one
  }
  await Promise.all([checkpoint(), ahead])
  await checkpoint()
}

/** Nothing depends on it: a session that has not logged in by then does so later, and its client waits for it. */
async function untilAhead(replica: Replica, steps: Steps, signal: AbortSignal): Promise<void> {
  const { clock } = replica.parts
  const untilMs = clock.mono() + AHEAD_WITHIN_MS
  while (replica.runs && !steps.balancersWentAhead() && clock.mono() < untilMs) {
    signal.throwIfAborted()
    await sleep(clock, 5)
  }
  if (!replica.runs) throw new UnderstudyError('UND_REFUSED', 'its server ended before it could hand over')
}
