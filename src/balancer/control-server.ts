/**
 * The balancer's end of the control socket. Several agents may be connected for a moment, when one replaces another;
 * all are told everything, and the newest table wins whichever agent sends it. What arrives is checked: a confused
 * agent must not be able to bring down the balancer.
 */
import { rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { handleLines, LineReader, toLine } from '../lib/json-lines.ts'
import { malformed, NotUnderstood, unknownKind } from '../lib/not-understood.ts'
import { areTexts, fieldsOf, isListOf } from '../lib/shapes.ts'
import type { FromBalancer } from './balancer-messages.ts'
import type { ToBalancer } from './control-protocol.ts'

export interface Orders {
  /** The content of a `table` message, unchecked. */
  onTable(table: unknown): void
  /** The content of a `secrets` message, unchecked. */
  onSecrets(secrets: unknown): void
  onDrainAndExit(): void
  /** Start this program and hand over to it. */
  onHandOver?(program: string, args: readonly string[]): void
  /** Balancers before this one, which still have connections. What they say is no order. */
  readonly predecessors?: {
    /** One connected; `key` is what it is known by. */
    join(key: object, send: (message: ToBalancer) => void): void
    /** Something was said; false when it was said by none of them. */
    hear(key: object, message: unknown): boolean
    gone(key: object): void
  }
  /** An agent connected: tell it the present state. */
  onConnected(): void
  /** A sentence about an order that this version does not know; once for each kind. */
  onNotUnderstood?(why: string): void
}

/** An agent that does not read for so long is stuck; its messages must not fill our memory. */
const UNREAD_MAX_BYTES = 8 * 1024 * 1024

export class ControlServer {
  readonly #server: Server
  readonly #agents = new Set<Socket>()
  readonly #predecessors = new Set<Socket>()
  readonly #orders: Orders
  readonly #notUnderstood: NotUnderstood

  constructor(server: Server, orders: Orders) {
    this.#server = server
    this.#orders = orders
    this.#notUnderstood = new NotUnderstood((why) => orders.onNotUnderstood?.(why))
    server.on('connection', (socket) => this.#welcome(socket))
  }

  /** Rejects with EADDRINUSE when another process answers on that path; a path that a dead one left is taken over. */
  static async open(path: string, orders: Orders): Promise<ControlServer> {
    const server = createServer()
    await listen(server, path).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE' || (await isAnswered(path))) throw error
      rmSync(path, { force: true })
      await listen(server, path)
    })
    return new ControlServer(server, orders)
  }

  tell(message: FromBalancer): void {
    if (this.#agents.size === 0) return
    const line = toLine(message)
    for (const agent of this.#agents) {
      agent.write(line)
      if (agent.writableLength > UNREAD_MAX_BYTES) agent.destroy()
    }
  }

  close(): void {
    this.#server.close()
    for (const socket of [...this.#agents, ...this.#predecessors]) socket.end()
  }

  #welcome(socket: Socket): void {
    const reader = new LineReader()
    this.#agents.add(socket)
    socket.on('error', () => {}) // an agent that died: 'close' follows
    socket.on('close', () => {
      this.#agents.delete(socket)
      this.#predecessors.delete(socket)
      this.#orders.predecessors?.gone(socket)
    })
    socket.on('data', (chunk) => {
      // What breaks the framing does not speak our language; a proper agent connects again.
      if (!handleLines(reader, chunk, 'an order of the agent', (message) => this.#obey(message, socket)))
        socket.destroy()
    })
    this.#orders.onConnected()
  }

  #obey(message: unknown, socket: Socket): void {
    const { predecessors } = this.#orders
    if (predecessors?.hear(socket, message)) return
    const { type, table, secrets, program, args } = fieldsOf<Order>(message)
    if (type === 'table') this.#orders.onTable(table)
    else if (type === 'secrets') this.#orders.onSecrets(secrets)
    else if (type === 'drain-and-exit') this.#orders.onDrainAndExit()
    else if (type === 'hand-over' && areTexts(program) && isListOf(args, (one) => areTexts(one)))
      this.#orders.onHandOver?.(program as string, args as readonly string[])
    else if (type === 'predecessor' && predecessors) {
      this.#agents.delete(socket) // it hears other things than an agent
      this.#predecessors.add(socket)
      predecessors.join(socket, (order) => socket.write(toLine(order)))
    } else this.#notUnderstood.note('the agent', typeof type === 'string' ? unknownKind(type) : malformed(type))
  }
}

interface Order {
  readonly type: string
  readonly table: unknown
  readonly secrets: unknown
  readonly program: unknown
  readonly args: unknown
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** Does a live process listen there? */
function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
