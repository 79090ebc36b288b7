/**
 * How late this node's own event loop is. A node that is late hears every peer late: it must know that before it judges
 * others (core/suspicion.ts) or a health check. Measured by a timer that the agent has anyway, the heartbeat.
 */
const REMEMBERED_MS = 1_000

export class LoopLag {
  #everyMs: number
  #expectedAt: number
  #worst: { at: number; lagMs: number } = { at: Number.NEGATIVE_INFINITY, lagMs: 0 }

  constructor(everyMs: number, now: number) {
    this.#everyMs = everyMs
    this.#expectedAt = now + everyMs
  }

  /** The timer has another period from its next turn on. */
  expect(everyMs: number): void {
    this.#everyMs = everyMs
  }

  /** Called when the timer fires. */
  tick(now: number): void {
    const lagMs = Math.max(0, now - this.#expectedAt)
    if (lagMs >= this.worstMs(now)) this.#worst = { at: now, lagMs }
    this.#expectedAt = now + this.#everyMs
  }

  /** The worst lateness of the last second, the present one included. */
  worstMs(now: number): number {
    const remembered = now - this.#worst.at <= REMEMBERED_MS ? this.#worst.lagMs : 0
    return Math.max(remembered, now - this.#expectedAt, 0)
  }
}
