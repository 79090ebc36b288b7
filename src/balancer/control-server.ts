/**
 * The balancer's end of the control socket. Several agents may be connected for a moment, when one replaces another;
 * all are told everything, and the newest table wins whichever agent sends it. What arrives is checked: a confused
 * agent must not be able to bring down the balancer.
 */
import { rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { handleLines, LineReader, toLine } from '../lib/json-lines.ts'
import { malformed, NotUnderstood, unknownKind } from '../lib/not-understood.ts'
import { fieldsOf } from '../lib/shapes.ts'
import type { FromBalancer } from './balancer-messages.ts'

export interface Orders {
  /** The content of a `table` message, unchecked. */
  onTable(table: unknown): void
  /** The content of a `secrets` message, unchecked. */
  onSecrets(secrets: unknown): void
  onDrainAndExit(): void
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
    for (const agent of this.#agents) agent.end()
  }

  #welcome(socket: Socket): void {
    const reader = new LineReader()
    this.#agents.add(socket)
    socket.on('error', () => {}) // an agent that died: 'close' follows
    socket.on('close', () => this.#agents.delete(socket))
    socket.on('data', (chunk) => {
      // What breaks the framing does not speak our language; a proper agent connects again.
      if (!handleLines(reader, chunk, 'an order of the agent', (message) => this.#obey(message))) socket.destroy()
    })
    this.#orders.onConnected()
  }

  #obey(message: unknown): void {
    const { type, table, secrets } = fieldsOf<{ type: string; table: unknown; secrets: unknown }>(message)
    if (type === 'table') this.#orders.onTable(table)
    else if (type === 'secrets') this.#orders.onSecrets(secrets)
    else if (type === 'drain-and-exit') this.#orders.onDrainAndExit()
    else this.#notUnderstood.note('the agent', typeof type === 'string' ? unknownKind(type) : malformed(type))
  }
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
