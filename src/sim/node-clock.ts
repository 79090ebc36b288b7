/**
 * The clocks of one node. Its monotonic clock has a zero point of its own and runs a little too fast or too slow, as
 * quartz does; it never jumps. Its wall clock may be set to anything at any time.
 */

import { assert } from '../lib/assert.ts'
import type { Cancel, Clock } from '../lib/clock.ts'
import type { Gate } from './gate.ts'

/**
 * So many looks at the clock at one moment are a loop: on a real machine it would take the processor for itself, and here
 * the moment would never end.
 */
const ROUND_AND_ROUND = 20_000

export class NodeClock {
  readonly #world: Clock
  readonly #rate: number
  readonly #offsetMs: number
  #wallOffMs = 0

  /** `rate`: how many of this node's milliseconds pass in one of the world's. */
  constructor(world: Clock, rate: number, offsetMs: number) {
    this.#world = world
    this.#rate = rate
    this.#offsetMs = offsetMs
  }

  mono(): number {
    return this.#offsetMs + this.#world.mono() * this.#rate
  }

  wall(): number {
    return Math.floor(this.#world.wall() + this.#wallOffMs)
  }

  /** The wall clock is set, by so much. */
  jumpWall(byMs: number): void {
    this.#wallOffMs += byMs
  }

  /** What a program on this node sees of it: its timers go through its gate and come up to `latenessMs()` late. */
  through(gate: Gate, latenessMs: () => number): Clock {
    const looks = { at: 0, count: 0 }
    return {
      mono: () => {
        const at = this.#world.mono()
        looks.count = at === looks.at ? looks.count + 1 : 0
        looks.at = at
        assert(looks.count < ROUND_AND_ROUND, 'a program goes round and round without any time passing')
        return this.mono()
      },
      wall: () => this.wall(),
      after: (delayMs, fn): Cancel => gate.after(this.toWorldMs(delayMs) + latenessMs(), fn),
    }
  }

  toWorldMs(ms: number): number {
    return Math.max(0, ms) / this.#rate
  }
}
