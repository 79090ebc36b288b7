/**
 * Did our own event loop stand still? While it does, answers lie unread and the living look dead. A regular tick that
 * comes late tells how long, and a failed probe whose time falls into such a gap is no evidence.
 */
export const STALL_MS = 100

export class LoopWatch {
  #nextTickMs: number
  #lastStallMs = Number.NEGATIVE_INFINITY

  constructor(nowMs: number, nextInMs: number) {
    this.#nextTickMs = nowMs + nextInMs
  }

  /** A tick has come; the next one is due in `nextInMs`. */
  tick(nowMs: number, nextInMs: number): void {
    if (this.#late(nowMs)) this.#lastStallMs = nowMs
    this.#nextTickMs = nowMs + nextInMs
  }

  /** Was there a stall that ended after `sinceMs`, or is one ending now? */
  stalledSince(sinceMs: number, nowMs: number): boolean {
    return this.#lastStallMs > sinceMs || this.#late(nowMs)
  }

  #late(nowMs: number): boolean {
    return nowMs - this.#nextTickMs > STALL_MS
  }
}
