/**
 * Ends the wait for a sender that falls silent: a frozen one keeps the connection, so nothing breaks, and the receiver
 * would wait for ever, although another source could be asked.
 */
import { UnderstudyError } from '../../../errors.ts'
import type { Cancel, Clock } from '../../../lib/clock.ts'

export class SilenceDeadline {
  /** Never resolves; rejects with UND_TIMED_OUT when nothing was heard for too long. */
  readonly tooLong: Promise<never>
  readonly #clock: Clock
  readonly #who: string
  readonly #mostMs: number
  #giveUp: (error: UnderstudyError) => void = () => {}
  #untilMs: number
  /** When it is looked at next: not with each word, of which there are thousands. */
  #looksAtMs = 0
  #cancel: Cancel = () => {}

  /** `firstMs`: until the first word. */
  constructor(clock: Clock, who: string, mostMs: number, firstMs: number) {
    this.#clock = clock
    this.#who = who
    this.#mostMs = mostMs
    this.tooLong = new Promise((_, reject) => {
      this.#giveUp = reject
    })
    this.tooLong.catch(() => {}) // the error reaches the caller that races it
    this.#untilMs = clock.mono() + firstMs
    this.#look()
  }

  /** It spoke, or could not, because we did not listen. */
  heard(): void {
    this.#untilMs = this.#clock.mono() + this.#mostMs
    if (this.#untilMs < this.#looksAtMs) this.#look() // after the first word it may be silent for less than before it
  }

  end(): void {
    this.#cancel()
    this.#looksAtMs = 0
  }

  #look(): void {
    this.#cancel()
    this.#looksAtMs = this.#untilMs
    const leftMs = this.#untilMs - this.#clock.mono()
    if (leftMs > 0) this.#cancel = this.#clock.after(leftMs, () => this.#look())
    else this.#giveUp(new UnderstudyError('UND_TIMED_OUT', `${this.#who} has said nothing for too long`))
  }
}
