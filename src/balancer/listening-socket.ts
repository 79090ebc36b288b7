/**
 * A listening socket that does not give up: when the port is taken (often by its own predecessor, for a moment) that is
 * reported once for each kind of failure and tried again every half second. Closing it lets open connections finish.
 */
import { Server } from 'node:net'
import type { Cancel, Clock } from '../lib/clock.ts'
import type { FrontServer } from './http/http-listener.ts'

export const LISTEN_AGAIN_MS = 500
/** A long queue: while this process is busy or just starting, the kernel keeps clients instead of refusing them. */
const BACKLOG = 1_024

export interface ListenerEvents {
  onListening(): void
  onFailed(code: string, message: string): void
}

export class Listener {
  readonly front: FrontServer
  readonly #clock: Clock
  readonly #host: string
  readonly #port: number
  readonly #events: ListenerEvents
  #again: Cancel | undefined
  #failure: { code: string; message: string } | undefined
  #listening = false
  #closed = false

  /** `inherited`: listens there already; a predecessor had it (hand-over.ts). Without one, the place is listened on anew. */
  constructor(
    front: FrontServer,
    place: { host: string; port: number },
    clock: Clock,
    events: ListenerEvents,
    inherited?: Server,
  ) {
    this.front = front
    this.#host = place.host
    this.#port = place.port
    this.#clock = clock
    this.#events = events
    front.server.on('listening', () => {
      this.#listening = true
      this.#failure = undefined
      events.onListening()
    })
    front.server.on('error', (error: NodeJS.ErrnoException) => this.#failed(error))
    if (inherited) front.server.listen(inherited, BACKLOG)
    else this.#listen()
  }

  get listening(): boolean {
    return this.#listening
  }

  /** Why it does not listen at the moment. */
  get failure(): { code: string; message: string } | undefined {
    return this.#failure
  }

  /** Another process listens there: no new connections here. Those that are open stay until they have nothing more to do. */
  retire(): void {
    this.#closed = true
    this.#listening = false
    this.#again?.()
    // An HTTP server would also close idle connections, where the next request may be on its way.
    Server.prototype.close.call(this.front.server)
    this.front.retire?.()
  }

  /** No new connections; those that are open go on and are asked to end when they have answered. */
  close(): void {
    this.#closed = true
    this.#listening = false
    this.#again?.()
    this.front.server.close()
    this.front.wind()
  }

  #listen(): void {
    if (this.#closed) return
    try {
      this.front.server.listen({ host: this.#host, port: this.#port, backlog: BACKLOG })
    } catch (error) {
      this.#failed(error as NodeJS.ErrnoException) // refused before the kernel was asked: tried again all the same
    }
  }

  #failed(error: NodeJS.ErrnoException): void {
    if (this.#listening || this.#closed) return // out of file descriptors while accepting: the next one may succeed
    const code = error.code ?? 'UNKNOWN'
    if (this.#failure?.code !== code) {
      this.#failure = { code, message: error.message }
      this.#events.onFailed(code, error.message)
    }
    this.#again = this.#clock.after(LISTEN_AGAIN_MS, () => this.#listen())
  }
}
