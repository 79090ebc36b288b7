/**
 * What `observe()` answers from: state and health, and since when. A change of either is told at once; saying the same
 * again changes nothing, so that `healthForMs` counts from the first time.
 */
import type { InstanceReport } from '../../core/model.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Stop } from '../../lib/stop.ts'

type State = InstanceReport['state']
type Health = InstanceReport['health']

export class InstanceState {
  readonly #clock: Clock
  readonly #listeners = new Set<() => void>()
  #state: State = 'stopped'
  #stateSinceMono: number
  #health: Health = 'unknown'
  #healthSinceMono: number
  #note = ''

  constructor(clock: Clock) {
    this.#clock = clock
    this.#stateSinceMono = clock.mono()
    this.#healthSinceMono = clock.mono()
  }

  get state(): State {
    return this.#state
  }

  get health(): Health {
    return this.#health
  }

  get note(): string {
    return this.#note
  }

  /** `sinceMono`: when it began, if that was before this agent. */
  enter(state: State, sinceMono = this.#clock.mono()): void {
    if (state === this.#state) return
    this.#state = state
    this.#stateSinceMono = sinceMono
    this.#tell()
  }

  feel(health: Health, note: string): void {
    if (health === this.#health && note === this.#note) return
    if (health !== this.#health) this.#healthSinceMono = this.#clock.mono()
    this.#health = health
    this.#note = note
    this.#tell()
  }

  report(): Pick<InstanceReport, 'state' | 'health' | 'note' | 'healthForMs' | 'stateForMs'> {
    const now = this.#clock.mono()
    return {
      state: this.#state,
      health: this.#health,
      note: this.#note,
      healthForMs: now - this.#healthSinceMono,
      stateForMs: now - this.#stateSinceMono,
    }
  }

  onChange(changed: () => void): Stop {
    const listener = () => changed() // one entry for each call, also when the same function is given twice
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener()
  }
}
