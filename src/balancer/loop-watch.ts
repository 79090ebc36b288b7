/**
 * Did our own event loop stand still? While it does, answers lie unread and the living look dead. A regular tick that
 * comes late tells how long, and a failed probe whose time falls into such a gap is no evidence.
 */
export const STALL_MS = 100

export class LoopWatch {
  readonly #everyMs: number
  #lastTickMs: number
  #lastStallMs = Number.NEGATIVE_INFINITY

  constructor(everyMs: number, nowMs: number) {
    this.#everyMs = everyMs
    this.#lastTickMs = nowMs
  }

  tick(nowMs: number): void {
    if (this.#late(nowMs)) this.#lastStallMs = nowMs
    this.#lastTickMs = nowMs
  }

  /** Was there a stall that ended after `sinceMs`, or is one ending now? */
  stalledSince(sinceMs: number, nowMs: number): boolean {
    return this.#lastStallMs > sinceMs || this.#late(nowMs)
  }

  #late(nowMs: number): boolean {
    return nowMs - this.#lastTickMs - this.#everyMs > STALL_MS
  }
}
