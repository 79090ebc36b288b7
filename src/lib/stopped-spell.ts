/**
 * A process that was stopped by a signal (state T, or t under a debugger) does nothing until it is continued. It counts
 * as stopped for good when that was seen for 300 ms and at least three times in a row: three, because when the observer
 * was stopped too, two sightings far apart say nothing about the time between them.
 */
import type { ProcessState } from './proc.ts'

const AFTER_MS = 300
const SIGHTINGS = 3

export function isStopped(state: ProcessState): boolean {
  return /[Tt]/.test(state.letter)
}

/** How long, and how often in a row, a process was seen stopped. */
export class StoppedSpell {
  #since: number | undefined
  #sightings = 0
  #hung = false

  /** True or false when the verdict changed with this sighting, undefined when it did not. */
  sighting(stopped: boolean, now: number): boolean | undefined {
    if (!stopped) {
      this.#since = undefined
      this.#sightings = 0
      return this.#turn(false)
    }
    this.#since ??= now
    this.#sightings += 1
    return this.#turn(this.#hung || (this.#sightings >= SIGHTINGS && now - this.#since >= AFTER_MS))
  }

  #turn(hung: boolean): boolean | undefined {
    if (hung === this.#hung) return undefined
    this.#hung = hung
    return hung
  }
}
