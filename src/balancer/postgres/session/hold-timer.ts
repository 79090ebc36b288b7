/** The time during which one session has no server, told to the tally of its service. */
import type { ServiceName } from '../../../core/model.ts'
import type { CutReason } from '../../../core/replicated/session-counts.ts'
import type { Clock } from '../../../lib/clock.ts'
import { heldNotice } from '../protocol-errors.ts'
import type { ClientConnection } from './client-connection.ts'
import type { Tally } from './session-tally.ts'

export class HoldTimer {
  readonly #clock: Clock
  readonly #tally: Tally
  #sinceMs: number | undefined
  /** Since when its client waits although it has a server, which is about to end. */
  #waitsSinceMs: number | undefined

  constructor(clock: Clock, tally: Tally) {
    this.#clock = clock
    this.#tally = tally
  }

  /** Undefined: it has one, or never had. */
  get forMs(): number | undefined {
    return this.#sinceMs === undefined ? undefined : this.#clock.mono() - this.#sinceMs
  }

  /** Tells the client, in time, that it is held. */
  tell(client: ClientConnection, service: ServiceName): void {
    if (this.#sinceMs !== undefined) client.noteHeld(() => heldNotice(service, this.forMs ?? 0))
  }

  waits(): void {
    this.#waitsSinceMs ??= this.#clock.mono()
  }

  /** At the server where it was. */
  goesOn(): void {
    this.#waitsSinceMs = undefined
  }

  begin(): void {
    this.#sinceMs = this.#waitsSinceMs ?? this.#clock.mono()
    this.#waitsSinceMs = undefined
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
