/**
 * Lets every transaction of clients end before a primary ends on purpose. When that cannot be done, nothing has happened to any
 * session: none was closed, and none was logged in anew.
 *
 *   wait   the transactions that are open now are waited for, while clients work on
 *   hold   balancers hold each client that is between two transactions, and keep its session logged in here. A client within
 *          a transaction goes on. The hold succeeds when no transaction is open any more, and mostly when balancers have asked
 *          each session, besides, what it needs elsewhere
 *
 * Transactions that begin during the wait can outlast a hold. Then clients are released, those transactions are waited for while
 * clients work on, and there is one more, longer hold. The time in a hold is a pause for all clients, so both are shorter than
 * the wait.
 *
 * What nothing holds is not waited for without end: clients that are connected past the balancers, and those of a balancer that has
 * not heard of the hold. Of theirs the transactions that began before the hold are waited for; the next ones follow them.
 */
import type { HoldProgress } from '../../../core/targets.ts'
import { UnderstudyError } from '../../../errors.ts'
import { sleep } from '../../../lib/clock.ts'
import type { Replica } from '../replica.ts'
import { type ClientSessionRow, clientSessions, isInTransaction, stillOpen } from '../server/client-sessions.ts'
import { HEARD_WITHIN_MS, LOOK_EVERY_MS, ON_ITS_WAY_MS } from './drain-sessions.ts'

/**
 * How long each hold may last, as a share of `drainMs`: with the default 250 ms and 1 s. The first is enough for all but long
 * transactions. Judgement: the second makes room for transactions of up to a second that overlap all the time.
 */
const HOLDS = [1 / 8, 1 / 2]

/** Nothing is asked of anything for it, and all clients wait. */
const HOLD_LOOK_EVERY_MS = 2
/** Sessions that need longer for what they are asked leave one by one (drain-sessions.ts). Judgement: as long as the first hold. */
const READY_WITHIN_MS = 250
/** Balancers end a hold by themselves after 5 s (balancer/target.ts): what they said of it is not believed for so long. */
const BELIEVED_MS = 4_000

const TOO_LATE = 'clients could not be held for long enough: the agent or its server was slow'

export interface HoldSteps {
  /** From here on balancers let nothing begin. Returns the number of this hold. */
  hold(): number
  /** Clients go on where they were. */
  release(): void
  holdProgress(hold: number): HoldProgress
}

/** A hold that goes on. True: no session of a balancer needs anything more from this server (`HoldProgress`, ready). */
export type IsReady = () => boolean

/** Resolves while clients are held. Rejects with UND_TIMED_OUT when a transaction does not end in time, and they are released. */
export async function endTransactions(replica: Replica, steps: HoldSteps, signal: AbortSignal): Promise<IsReady> {
  const { drainMs } = replica.parts.options.timing
  let why = ''
  for (const share of HOLDS) {
    await untilOpenEnds(replica, signal)
    const { number, open } = await hold(replica, steps, drainMs * share, signal)
    if (open.length === 0) return () => steps.holdProgress(number) === 'ready'
    why = stillOpen(open, drainMs * share)
  }
  throw new UnderstudyError('UND_TIMED_OUT', why)
}

/** Waits for the transactions that are open now. Rejects with UND_TIMED_OUT when one does not end in time. */
async function untilOpenEnds(replica: Replica, signal: AbortSignal): Promise<void> {
  const { clock, options } = replica.parts
  const beganAt = clock.mono()
  for (;;) {
    const forMs = clock.mono() - beganAt // before the question, or what began just before this wait would seem to be younger
    const sessions = await clientSessions(replica.session)
    const open = sessions.filter((one) => isInTransaction(one) && one.forMs >= forMs)
    if (open.length === 0) return
    if (forMs >= options.timing.drainMs) throw new UnderstudyError('UND_TIMED_OUT', stillOpen(open, forMs))
    await sleep(clock, LOOK_EVERY_MS)
    signal.throwIfAborted()
  }
}

interface Hold {
  readonly number: number
  /** The transactions that outlast it. None: it goes on. */
  readonly open: readonly ClientSessionRow[]
}

/** When transactions outlast it, and also when this rejects, it has ended. */
async function hold(replica: Replica, steps: HoldSteps, limitMs: number, signal: AbortSignal): Promise<Hold> {
  const number = steps.hold()
  let succeeds = false
  try {
    const open = await heldUntilStill(replica, () => steps.holdProgress(number), limitMs, signal)
    succeeds = open.length === 0
    return { number, open }
  } finally {
    if (!succeeds) steps.release()
  }
}

async function heldUntilStill(
  replica: Replica,
  progress: () => HoldProgress,
  limitMs: number,
  signal: AbortSignal,
): Promise<readonly ClientSessionRow[]> {
  const { clock } = replica.parts
  const beganAt = clock.mono()
  let heardAt: number | undefined
  let stillAt: number | undefined
  let open: readonly ClientSessionRow[] | undefined
  for (;;) {
    const state = progress()
    const now = clock.mono()
    if (state !== 'asked' || now - beganAt >= HEARD_WITHIN_MS) heardAt ??= now
    const isStill = state === 'still' || state === 'ready'
    if (!isStill) open = undefined
    stillAt = isStill ? (stillAt ?? now) : undefined
    const isOver = heardAt !== undefined && now - heardAt >= limitMs
    // The server is not asked before: that would only make longer what clients wait for. What it has ended is not asked for again.
    if ((isStill || isOver) && open?.length !== 0) {
      const sessions = await clientSessions(replica.session)
      // What balancers had passed on before they were still has ended. What they passed on before they heard has begun by now.
      const since = stillAt ?? (heardAt === undefined ? now : heardAt + ON_ITS_WAY_MS)
      open = sessions.filter((one) => isInTransaction(one) && now - one.forMs <= since)
    }
    if (clock.mono() - beganAt > BELIEVED_MS) throw new UnderstudyError('UND_TIMED_OUT', TOO_LATE)
    const isReady = state === 'ready' || (stillAt !== undefined && now - stillAt >= READY_WITHIN_MS)
    if (open && (isOver || (isReady && open.length === 0))) return open
    await sleep(clock, HOLD_LOOK_EVERY_MS)
    signal.throwIfAborted()
  }
}
