/**
 * Requests that no target can take at the moment wait here instead of failing, their bodies unread: a moment later an
 * instance may be up or a new primary known. The waiting is bounded three ways: in time (the route's `holdMs`), in
 * number (for the whole node), and on release: held requests go in growing batches, not as one wave onto the one
 * instance that has just come back.
 */

/** Something that waits. Exactly one of the two is called, unless it leaves before. */
export interface Held {
  /** Try again now. */
  go(): void
  /** It took too long. */
  giveUp(): void
}

/** How many may be held on one node, all routes together. About 10 KiB each. */
export const HELD_MAX = 1_000
const FIRST_BATCH = 16

/** The number held on this node, shared by all its routes. */
export class HoldSpace {
  readonly #max: number
  #held = 0

  constructor(max: number = HELD_MAX) {
    this.#max = max
  }

  get held(): number {
    return this.#held
  }

  enter(): boolean {
    if (this.#held >= this.#max) return false
    this.#held += 1
    return true
  }

  leave(): void {
    this.#held -= 1
  }
}

export class Hold {
  readonly #space: HoldSpace
  /** In order of arrival, with the moment at which each gives up. */
  readonly #waiting = new Map<Held, number>()
  #batch = FIRST_BATCH
  #releasing = false

  constructor(space: HoldSpace) {
    this.#space = space
  }

  get size(): number {
    return this.#waiting.size
  }

  /** False when there is no room left. */
  add(held: Held, untilMs: number): boolean {
    if (!this.#space.enter()) return false
    this.#waiting.set(held, untilMs)
    return true
  }

  remove(held: Held): void {
    if (this.#waiting.delete(held)) this.#space.leave()
  }

  /** A target can work again: the first batch goes now, the others follow at the next ticks. */
  release(): void {
    if (this.#releasing || this.#waiting.size === 0) return
    this.#releasing = true
    this.#batch = FIRST_BATCH
    this.#sendBatch()
  }

  /** Called every few tens of milliseconds. */
  tick(nowMs: number): void {
    if (this.#waiting.size === 0) {
      this.#releasing = false
      return
    }
    for (const [held, untilMs] of [...this.#waiting]) {
      if (untilMs > nowMs || !this.#waiting.has(held)) continue
      this.remove(held)
      held.giveUp()
    }
    if (this.#releasing) this.#sendBatch()
  }

  #sendBatch(): void {
    const batch = [...this.#waiting.keys()].slice(0, this.#batch)
    this.#batch *= 2
    for (const held of batch) {
      if (!this.#waiting.has(held)) continue
      this.remove(held)
      held.go()
    }
    if (this.#waiting.size === 0 || batch.some((held) => this.#waiting.has(held))) this.#releasing = false
  }
}
