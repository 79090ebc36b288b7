/**
 * The PostgreSQL side of a route: every connection is read as far as it must be, to log it in at a server, to keep it when that
 * server goes, and to say in the protocol's own words when that cannot be done.
 */
import { createServer, type Socket } from 'node:net'
import { holdName } from '../../core/targets.ts'
import type { FrontServer } from '../http/http-listener.ts'
import type { LiveRoute } from '../live-route.ts'
import { ClientSession } from './session/client-session.ts'
import { PreLoginQueue } from './session/pre-login-queue.ts'
import type { SessionContext } from './session/session-context.ts'
import { SessionKnowledge, STRICT } from './session/session-knowledge.ts'
import { Tally } from './session/session-tally.ts'
import { type Opened, StartupPhase } from './session/startup-phase.ts'
import { Verifiers } from './verifiers.ts'

/** From the first byte to the end of the login: PostgreSQL's own authentication_timeout. */
const LOGIN_MS = 60_000

export function postgresServer(entrance: LiveRoute): FrontServer {
  const { house } = entrance
  const clients = new Set<Client>()
  const { cancels } = house
  const knowledge = new SessionKnowledge(house.clock, () => house.secretOf(entrance.route.service)?.sessions ?? STRICT)
  const verifiers = new Verifiers(house.clock)
  const lookAgain = (): void => {
    for (const { passage } of clients) passage?.lookAgain()
  }
  const isStill = () => holdAt(entrance, clients, ({ holdsUp }) => holdsUp) !== undefined
  const around: SessionContext = {
    entrance,
    cancels,
    verifiers,
    knowledge,
    tally: new Tally(),
    isStill,
    onRest() {
      if (isStill()) lookAgain()
      house.onStill()
    },
  }
  const vanguard = new PreLoginQueue(entrance, () => [...clients].flatMap(({ passage }) => passage ?? []))
  const server = createServer({ noDelay: true }, (socket) => {
    socket.setKeepAlive(true, 10_000)
    entrance.counters.connections += 1
    clients.add(new Client(around, socket, (client) => clients.delete(client)))
  })
  return {
    server,
    wind: () => {}, // a connection that is open is work in progress: there is nothing to decline
    tick(nowMs) {
      vanguard.look()
      if (knowledge.takeChanged() || isStill()) lookAgain()
      const told = around.tally.look(entrance.route.service, servingTerm(entrance), nowMs)
      if (told) house.onSessions(told)
    },
    cutAll() {
      for (const client of [...clients]) client.cut()
    },
    get open() {
      return clients.size
    },
    get ahead() {
      return vanguard.there
    },
    get still() {
      return holdAt(entrance, clients, ({ holdsUp }) => holdsUp)
    },
    get ready() {
      return holdAt(entrance, clients, ({ holdsUp, isToBeAsked }) => holdsUp || isToBeAsked)
    },
  }
}

/** The hold of this route, as targets.ts names it, when no session hinders it. */
function holdAt(
  { route, targets }: LiveRoute,
  clients: Iterable<Client>,
  hinders: (session: ClientSession) => boolean,
): string | undefined {
  const held = [...targets].find(({ spec, isHolding }) => spec.holds !== undefined && isHolding)?.spec
  if (held?.holds === undefined) return undefined
  for (const { passage } of clients) if (passage && hinders(passage)) return undefined
  return holdName(route.service, held.node, held.holds)
}

/** Of the primary that serves now; undefined when none does, or when this is no route to one. */
function servingTerm({ route, targets }: LiveRoute): number | undefined {
  if (route.purpose !== 'primary' || route.readOnly !== null) return undefined
  const serving = [...targets].filter(({ spec }) => spec.state === 'serving').map(({ spec }) => spec.term)
  return serving.length === 0 ? undefined : Math.max(...serving)
}

/** One accepted connection: first an opening, then a passage. */
class Client {
  readonly #around: SessionContext
  readonly #raw: Socket
  readonly #gone: (client: Client) => void
  passage: ClientSession | undefined
  #over = false

  constructor(around: SessionContext, raw: Socket, gone: (client: Client) => void) {
    this.#around = around
    this.#raw = raw
    this.#gone = gone
    const { house, route, counters } = around.entrance
    counters.open += 1
    raw.on('error', () => {}) // 'close' follows
    raw.on('close', () => this.#finish())
    const cancelLogin = house.clock.after(LOGIN_MS, () => {
      if (!this.passage?.entered) this.cut()
    })
    raw.once('close', cancelLogin)
    new StartupPhase(
      raw,
      () => house.secretOf(route.service),
      (opened) => this.#opened(opened),
    )
  }

  cut(): void {
    this.passage?.end()
    this.#raw.destroy()
  }

  #opened(opened: Opened | undefined): void {
    if (!opened || this.#over) return
    const { packet, client } = opened
    const { entrance, cancels } = this.#around
    if (packet.kind === 'cancel') cancels.cancel(packet, packet.handedOn, entrance.route, () => client.end())
    else {
      this.passage = new ClientSession(this.#around, opened)
      this.passage.start()
    }
  }

  #finish(): void {
    if (this.#over) return
    this.#over = true
    this.passage?.end()
    this.#around.entrance.counters.open -= 1
    this.#gone(this)
  }
}
