/** The time during which one session has no server, told to the tally of its service. */
import type { ServiceName } from '../../core/model.ts'
import type { CutReason } from '../../core/sessions.ts'
import type { Clock } from '../../lib/clock.ts'
import type { ClientWire } from './client-wire.ts'
import { heldNotice } from './errors.ts'
import type { Tally } from './tally.ts'

export class Absence {
  readonly #clock: Clock
  readonly #tally: Tally
  #sinceMs: number | undefined

  constructor(clock: Clock, tally: Tally) {
    this.#clock = clock
    this.#tally = tally
  }

  /** Undefined: it has one, or never had. */
  get forMs(): number | undefined {
    return this.#sinceMs === undefined ? undefined : this.#clock.mono() - this.#sinceMs
  }

  /** Tells the client, in time, that it is held. */
  tell(client: ClientWire, service: ServiceName): void {
    if (this.#sinceMs !== undefined) client.noteHeld(() => heldNotice(service, this.forMs ?? 0))
  }

  begin(): void {
    this.#sinceMs = this.#clock.mono()
    this.#tally.held()
  }

  /** It goes on. */
  end(): void {
    this.#tally.moved(this.forMs ?? 0)
    this.#sinceMs = undefined
  }

  cut(reason: CutReason): void {
    this.#tally.cut(reason, this.forMs)
    this.#sinceMs = undefined
  }

  /** The client did not wait for it. */
  left(): void {
    if (this.#sinceMs !== undefined) this.#tally.left()
    this.#sinceMs = undefined
  }
}
