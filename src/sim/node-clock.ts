/**
 * The clocks of one node. Its monotonic clock has a zero point of its own and runs a little too fast or too slow, as
 * quartz does; it never jumps. Its wall clock may be set to anything at any time.
 */
import type { Cancel, Clock } from '../lib/clock.ts'
import type { Gate } from './gate.ts'

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

  /** Somebody sets the wall clock, by so much. */
  jumpWall(byMs: number): void {
    this.#wallOffMs += byMs
  }

  /** What a program on this node sees of it: its timers go through its gate and come up to `latenessMs()` late. */
  through(gate: Gate, latenessMs: () => number): Clock {
    return {
      mono: () => this.mono(),
      wall: () => this.wall(),
      after: (delayMs, fn): Cancel => gate.after(this.toWorldMs(delayMs) + latenessMs(), fn),
    }
  }

  toWorldMs(ms: number): number {
    return Math.max(0, ms) / this.#rate
  }
}
