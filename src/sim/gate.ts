/**
 * The program counter of a made-up program: whatever happens to it from outside (a timer, a message, an answer, an exit
 * of a child) goes through its gate. Running, things happen at once; frozen (SIGSTOP, a long garbage collection), they
 * pile up and happen in their order when it thaws; dead, they never happen and what it waited for never answers. So
 * the real agent can be killed between any two of its own steps, as kill -9 does.
 */
import type { Cancel, Clock } from '../lib/clock.ts'

export class Gate {
  readonly #clock: Clock
  #state: 'running' | 'frozen' | 'dead' = 'running'
  #waiting: (() => void)[] = []

  /** `clock`: the world's, not the node's. */
  constructor(clock: Clock) {
    this.#clock = clock
  }

  get state(): 'running' | 'frozen' | 'dead' {
    return this.#state
  }

  freeze(): void {
    if (this.#state === 'running') this.#state = 'frozen'
  }

  /** Lets what piled up happen, each as an event of its own. */
  thaw(): void {
    if (this.#state !== 'frozen') return
    this.#state = 'running'
    const waiting = this.#waiting
    this.#waiting = []
    for (const fn of waiting) this.#clock.after(0, () => this.deliver(fn))
  }

  kill(): void {
    this.#state = 'dead'
    this.#waiting = []
  }

  /** Something happens to the program now. */
  deliver(fn: () => void): void {
    if (this.#state === 'running') fn()
    else if (this.#state === 'frozen') this.#waiting.push(fn)
  }

  after(delayMs: number, fn: () => void): Cancel {
    let wanted = true
    const cancel = this.#clock.after(delayMs, () => this.deliver(() => wanted && fn()))
    return () => {
      wanted = false
      cancel()
    }
  }

  /** A promise that the program waits for: settled from outside, through the gate. */
  promise<T>(begin: (resolve: (value: T) => void, reject: (error: Error) => void) => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      begin(
        (value) => this.deliver(() => resolve(value)),
        (error) => this.deliver(() => reject(error)),
      )
    })
  }
}
