/**
 * The TCP side of a route: each connection of a client is joined to one of an instance, byte for byte. The choice is
 * made once, when it is opened; while no instance can be reached, the client is held with its connection open and
 * nothing of it read. A connection cannot be moved, so a target that is lost takes its connections with it, closed on
 * both sides: clients then connect again at once instead of waiting for an answer that never comes.
 */
import { createServer, type Socket } from 'node:net'
import type { Held } from '../hold.ts'
import type { FrontServer } from '../http/http-listener.ts'
import { type ConnectAttempt, forTraffic, openSocket } from '../http/instance-connection.ts'
import { join } from '../http/tunnel.ts'
import type { LiveRoute } from '../live-route.ts'
import { cutSocket } from '../socket-end.ts'
import type { Hanging, LiveTarget } from '../target.ts'
import { CONNECT_MS, LAST_CONNECT_MS } from '../target.ts'

export function tcpServer(entrance: LiveRoute): FrontServer {
  const passages = new Set<Passage>()
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (client) => {
    client.setKeepAlive(true, 10_000)
    entrance.counters.connections += 1
    const passage = new Passage(entrance, client, () => passages.delete(passage))
    passages.add(passage)
    passage.start()
  })
  return {
    server,
    wind: () => {}, // a connection that is open is work in progress: there is nothing to decline
    cutAll() {
      for (const passage of [...passages]) passage.onLost()
    },
    get open() {
      return passages.size
    },
  }
}

/** One client's connection on its way through the balancer. */
class Passage implements Hanging, Held {
  readonly #entrance: LiveRoute
  readonly #client: Socket
  readonly #gone: () => void
  readonly #tried = new Set<LiveTarget>()
  #target: LiveTarget | undefined
  #connecting: ConnectAttempt | undefined
  #cut: (() => void) | undefined
  #holdUntilMs: number | undefined
  #over = false

  constructor(entrance: LiveRoute, client: Socket, gone: () => void) {
    this.#entrance = entrance
    this.#client = client
    this.#gone = gone
  }

  start(): void {
    this.#entrance.counters.open += 1
    this.#client.on('error', () => {}) // what follows is 'close', and that is enough to know
    this.#client.on('close', () => {
      if (!this.#cut) this.#finish()
    })
    this.#choose()
  }

  readonly go = (): void => {
    this.#tried.clear()
    this.#choose()
  }

  giveUp(): void {
    this.#entrance.counters.failed += 1
    cutSocket(this.#client)
    this.#finish()
  }

  /** It may be answered yet, and it cannot be moved. */
  onHung(): void {}

  onLost(): void {
    if (this.#cut) {
      this.#cut()
      return
    }
    this.#connecting?.cancel()
    this.#unreached()
  }

  #choose(): void {
    if (this.#over) return
    // Nothing was sent yet, so even a silent target may be tried: it costs no more than waiting.
    const target = this.#entrance.choose(this.#tried, true)
    if (!target) {
      this.#waitForTarget()
      return
    }
    this.#target = target
    target.join(this)
    const timeoutMs = this.#entrance.isLast(target, this.#tried) ? LAST_CONNECT_MS : CONNECT_MS
    this.#connecting = openSocket(target.spec.host, target.spec.port, timeoutMs, (result) => {
      this.#connecting = undefined
      if (typeof result !== 'string') {
        this.#cut = join(this.#client, forTraffic(result), () => this.#finish(), {
          clock: this.#entrance.house.clock,
          ms: this.#entrance.limits.idleMs,
        })
        return
      }
      if (result === 'refused') target.noteRefused()
      if (result === 'timeout') target.noteReset()
      this.#unreached()
    })
  }

  #unreached(): void {
    const target = this.#target
    if (!target || this.#over) return
    target.leave(this)
    this.#target = undefined
    this.#tried.add(target)
    this.#entrance.counters.retried += 1
    this.#choose()
  }

  #waitForTarget(): void {
    const { house, hold, route, counters } = this.#entrance
    const now = house.clock.mono()
    if (this.#holdUntilMs === undefined) {
      this.#holdUntilMs = now + route.holdMs
      counters.held += 1
    }
    if (this.#holdUntilMs <= now || !hold.add(this, this.#holdUntilMs)) this.giveUp()
  }

  #finish(): void {
    if (this.#over) return
    this.#over = true
    this.#connecting?.cancel()
    this.#target?.leave(this)
    this.#target = undefined
    this.#entrance.hold.remove(this)
    this.#entrance.counters.open -= 1
    this.#gone()
  }
}
