/**
 * Counts what became of the sessions of one service while its primary changed, and tells it once, when a primary of a newer
 * term serves and nothing is held any more.
 */
import type { CutReason, SessionTally } from '../../../core/replicated/session-counts.ts'

/** What happened longer ago without a change of primary, such as a restart in place, is none of the next change's. */
const FORGOTTEN_AFTER_MS = 30_000

export class Tally {
  #lastMs = 0
  /** A session was closed since the last look. */
  #fresh = false
  #term = 0
  #open = 0
  #held = 0
  #moved = 0
  #longestHoldMs = 0
  #cut: Partial<Record<CutReason, number>> = {}

  /** A client was admitted by a primary of this term: a change may come before the first look. */
  entered(term: number): void {
    if (this.#term === 0) this.#term = term
  }

  /** A session has lost its server, in the given term, and is kept. */
  held(): void {
    this.#held += 1
    this.#open += 1
  }

  /** It goes on, on another server or the same one. */
  moved(afterMs: number): void {
    this.#open -= 1
    this.#moved += 1
    this.#longestHoldMs = Math.max(this.#longestHoldMs, Math.round(afterMs))
  }

  /** `afterMs`: how long it was held before; undefined when it was not. */
  cut(reason: CutReason, afterMs?: number): void {
    this.#cut[reason] = (this.#cut[reason] ?? 0) + 1
    this.#fresh = true
    if (afterMs === undefined) return
    this.#open -= 1
    this.#longestHoldMs = Math.max(this.#longestHoldMs, Math.round(afterMs))
  }

  /** The client itself left while it was held. */
  left(): void {
    this.#open -= 1
  }

  /** Looked at now and then. `term`: of the primary that serves now, if one does. */
  look(service: string, term: number | undefined, nowMs: number): SessionTally | undefined {
    if (this.#open > 0 || this.#fresh) this.#lastMs = nowMs
    this.#fresh = false
    if (term === undefined || this.#open > 0) return undefined
    const isChange = this.#term > 0 && term > this.#term
    this.#term = Math.max(term, this.#term)
    const told = {
      service,
      term,
      held: this.#held,
      moved: this.#moved,
      cut: this.#cut,
      longestHoldMs: this.#longestHoldMs,
    }
    if (!isChange && nowMs - this.#lastMs < FORGOTTEN_AFTER_MS) return undefined
    this.#held = 0
    this.#moved = 0
    this.#longestHoldMs = 0
    this.#cut = {}
    return isChange ? told : undefined
  }
}
