/**
 * May this request be tried again? The one question on which a balancer can do real harm, so it is answered in one
 * place, without any I/O.
 *
 * The rules, in the order of how little can go wrong:
 * - Nothing was sent (refused, no connection in time): the next target, whatever the method. No instance saw the
 *   request.
 * - The first byte of the answer has been passed on: never. Two half answers are not one; the client must see the
 *   break.
 * - Something was sent and no answer came: only requests that mean the same when done twice (RFC 9110 §9.2.2), or that
 *   carry an Idempotency-Key, by which the application itself tells first from second. Anything else ends with the
 *   honest answer that its fate is unknown.
 * - A body that was too long to keep cannot be sent twice.
 */
import { assertNever } from '../../lib/assert.ts'

/** How an attempt failed. */
export type Failure =
  /** No connection came about: refused, unreachable, or not in time. */
  | 'unreached'
  /** The connection broke, or the answer was not HTTP, before the answer was passed on. */
  | 'reset'
  /** The balancer gave the target up while the request waited there. */
  | 'hung'
  /** The routing table says that the process is gone, or that it no longer leads. */
  | 'lost'

export interface Attempted {
  readonly mayBeRepeated: boolean
  /** The first byte of the answer went to the client. */
  readonly answerBegun: boolean
  /** All of the body that was sent so far is still here. */
  readonly bodyKept: boolean
  /** Retries of this request after a reset, so far. */
  readonly resets: number
  /** Times this request was moved away from a hung target, so far. */
  readonly moves: number
  /** A target that is healthy or suspect and was not tried by this request. */
  readonly betterPlace: boolean
}

export type Next =
  /** Try another target; nothing was sent. */
  | 'next-target'
  /** Send it again, elsewhere if possible, over a fresh connection. */
  | 'again'
  /** Leave it where it is. */
  | 'wait'
  /** 502: it may or may not have been done. */
  | 'unknown-fate'
  /** Cut the client's connection. */
  | 'cut'

export function afterFailure(failure: Failure, attempted: Attempted): Next {
  if (attempted.answerBegun) return failure === 'hung' ? 'wait' : 'cut'
  const repeatable = attempted.mayBeRepeated && attempted.bodyKept
  switch (failure) {
    case 'unreached':
      return 'next-target'
    case 'reset':
      return repeatable && attempted.resets < 1 ? 'again' : 'unknown-fate'
    case 'lost':
      // A process that is known to be gone breaks each connection once; being moved for it is not a second chance.
      return repeatable ? 'again' : 'unknown-fate'
    case 'hung':
      // Once only: a request that itself makes instances hang must not be led from one to the next.
      return repeatable && attempted.moves < 1 && attempted.betterPlace ? 'again' : 'wait'
    default:
      return assertNever(failure)
  }
}

const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])

export function mayBeRepeated(method: string, hasIdempotencyKey: boolean): boolean {
  return hasIdempotencyKey || IDEMPOTENT.has(method)
}

/** Of the requests that are open on this node, how many may be retries after a reset at one time. */
export const RETRY_SHARE = 0.2
export const RETRIES_AT_LEAST = 3

/**
 * Retries multiply load just when instances are failing, so only a share of what is open may be retries at one time.
 * A retry beyond it waits its turn instead of failing: the storm is calmed and no request is lost to the rule.
 *
 * Not counted: refusals (no instance did any work for them) and moves away from a hung or lost target (each request moves
 * once, and the target it leaves does no work any more).
 */
export class RetryBudget {
  #open = 0
  #retrying = 0
  readonly #waiting: (() => void)[] = []

  requestOpened(): void {
    this.#open += 1
  }

  requestClosed(): void {
    this.#open -= 1
    this.#admit()
  }

  /** Calls `go` at once or when there is room. Each retry that went must call `retryEnded` once. */
  whenAllowed(go: () => void): void {
    this.#waiting.push(go)
    this.#admit()
  }

  /** A retry that waits will not come any more: its client left. */
  forget(go: () => void): void {
    const at = this.#waiting.indexOf(go)
    if (at !== -1) this.#waiting.splice(at, 1)
  }

  retryEnded(): void {
    this.#retrying -= 1
    this.#admit()
  }

  get allowance(): number {
    return Math.max(RETRIES_AT_LEAST, Math.floor(this.#open * RETRY_SHARE))
  }

  #admit(): void {
    while (this.#retrying < this.allowance) {
      const go = this.#waiting.shift()
      if (!go) return
      this.#retrying += 1
      go()
    }
  }
}
