/**
 * A clock that stands still until it is told to go on. Whatever was planned with `after` runs in the order of its time,
 * and everything that it sets off by promises has run before the next one: same program, same order, every time.
 */
import { setImmediate } from 'node:timers/promises'
import { assert } from './assert.ts'
import type { Cancel, Clock } from './clock.ts'

interface Planned {
  readonly at: number
  /** Breaks ties: what was planned first runs first. */
  readonly order: number
  readonly fn: () => void
}

export class VirtualClock implements Clock {
  #now: number
  #order = 0
  readonly #wallAtZero: number
  readonly #planned = new Set<Planned>()

  /** `startMs` is the first reading of `mono`, `wallMs` that of `wall`. */
  constructor(startMs = 0, wallMs = Date.UTC(2026, 0, 1)) {
    this.#now = startMs
    this.#wallAtZero = wallMs - startMs
  }

  mono(): number {
    return this.#now
  }

  wall(): number {
    return this.#wallAtZero + this.#now
  }

  after(delayMs: number, fn: () => void): Cancel {
    const planned = { at: this.#now + Math.max(0, delayMs), order: this.#order++, fn }
    this.#planned.add(planned)
    return () => this.#planned.delete(planned)
  }

  /** Lets `ms` pass. Timers see the clock at exactly the time they were planned for. */
  async advance(ms: number): Promise<void> {
    assert(ms >= 0, 'time does not go back')
    const end = this.#now + ms
    await setImmediate() // lets promises that are already under way plan what they want to plan
    for (let next = this.#next(end); next; next = this.#next(end)) {
      this.#planned.delete(next)
      this.#now = next.at
      next.fn()
      await setImmediate()
    }
    this.#now = end
  }

  /** When the next timer falls due, on `mono`; undefined when nothing is waiting. */
  nextAt(): number | undefined {
    return this.#next(Number.POSITIVE_INFINITY)?.at
  }

  #next(end: number): Planned | undefined {
    let first: Planned | undefined
    for (const planned of this.#planned) {
      if (planned.at > end) continue
      if (!first || planned.at < first.at || (planned.at === first.at && planned.order < first.order)) first = planned
    }
    return first
  }
}
