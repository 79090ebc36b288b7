/**
 * How long one request may stand still, and where: while its body is awaited from the client, while the head of the answer is
 * awaited from the instance, while the answer is under way. Each time that something moves, the time begins anew. Pure: the
 * clock's readings come in.
 */
import type { EndpointLimits } from '../../core/endpoint-limits.ts'

export type Phase =
  /** Held, or waiting to be tried again: those waits have bounds of their own. */
  | 'waiting'
  /** An instance takes the body, and the client has not sent it. */
  | 'body'
  /** An instance has the request, and no head of an answer has come. */
  | 'head'
  /** The head of the answer went to the client. */
  | 'answer'

export class ExchangeDeadline {
  readonly #limits: EndpointLimits
  #phase: Phase = 'waiting'
  #sinceMs: number
  #moved = false

  constructor(limits: EndpointLimits, nowMs: number) {
    this.#limits = limits
    this.#sinceMs = nowMs
  }

  /** A byte went somewhere. */
  moved(): void {
    this.#moved = true
  }

  /** Is the time over in the phase it is in? */
  isOver(phase: Phase, nowMs: number): boolean {
    if (this.#moved || phase !== this.#phase) {
      this.#moved = false
      this.#phase = phase
      this.#sinceMs = nowMs
    }
    const limitMs = this.#limitMs
    return limitMs !== null && nowMs - this.#sinceMs >= limitMs
  }

  get #limitMs(): number | null {
    const { bodyMs, answerMs, idleMs } = this.#limits
    return { waiting: null, body: bodyMs, head: answerMs, answer: idleMs }[this.#phase]
  }
}
