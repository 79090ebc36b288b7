/**
 * The agents' own network: each agent dials every other one and sends only on links that it dialled; what it hears
 * comes on links that others dialled. So a link that is down in one direction looks like that. Links are WebSockets on
 * the API's port, opened with the cluster's token; they are made again by themselves.
 *
 * Nothing waits here and nothing is kept for a peer that does not read: a link with too much unsent is closed, and what
 * is sent again later (reports, heartbeats) makes up for what was lost.
 */

import { timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocket, WebSocketServer } from 'ws'
import type { NodeName, NodeSpec } from '../core/model.ts'
import { guarded } from '../lib/background.ts'
import { isUndecoded, NotUnderstood } from '../lib/not-understood.ts'
import type { Stop } from '../lib/stop.ts'
import type { Mesh, Message } from './agent-ports.ts'
import { decodeMessage } from './mesh-messages.ts'

export const MESH_PATH = '/v1/mesh'

const REDIAL = { firstMs: 50, mostMs: 1_000 }
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024
const MAX_UNSENT_BYTES = 1024 * 1024
const HANDSHAKE_MS = 1_000
const AS_TEXT = { binary: false }

export interface MeshOptions {
  readonly self: NodeName
  readonly peers: readonly NodeSpec[]
  readonly port: number
  readonly token: string
  /** Told of messages that this version does not understand: a sentence, once for each kind. */
  tell(why: string): void
}

export class WebSocketMesh implements Mesh {
  readonly #options: MeshOptions
  readonly #links = new Map<NodeName, WebSocket>()
  readonly #listeners = new Set<(from: NodeName, message: Message) => void>()
  readonly #linkListeners = new Set<(peer: NodeName) => void>()
  readonly #acceptor = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE_BYTES, perMessageDeflate: false })
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #notUnderstood: NotUnderstood
  #peers: readonly NodeSpec[] = []
  #closed = false

  constructor(options: MeshOptions) {
    this.#options = options
    this.#notUnderstood = new NotUnderstood((why) => options.tell(why))
    this.meet(options.peers)
  }

  /** Links to nodes that are no peers any more are cut; what they say on links of their own is not heard any more. */
  meet(peers: readonly NodeSpec[]): void {
    const before = this.#peers
    this.#peers = peers
    for (const peer of before) if (!this.#isPeer(peer)) this.#links.get(peer.name)?.terminate()
    for (const peer of peers) if (!before.some((one) => isSamePlace(one, peer))) this.#dial(peer, REDIAL.firstMs)
  }

  /** Takes the peers' calls on the API's server. */
  answer(server: Server): void {
    server.on('upgrade', (request, socket, head) => this.#accept(request, socket, head))
  }

  broadcast(message: Message): void {
    // Encoded once for all. Of bytes that it must not change `ws` makes a frame in one piece, which is one write; of a text, two.
    const bytes = Buffer.from(JSON.stringify(message))
    for (const link of this.#links.values()) {
      if (link.bufferedAmount > MAX_UNSENT_BYTES) link.terminate()
      else link.send(bytes, AS_TEXT, ignoreOutcome)
    }
  }

  onMessage(listener: (from: NodeName, message: Message) => void): Stop {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  onLink(listener: (peer: NodeName) => void): Stop {
    this.#linkListeners.add(listener)
    return () => this.#linkListeners.delete(listener)
  }

  close(): void {
    this.#closed = true
    for (const timer of this.#timers) clearTimeout(timer)
    for (const link of [...this.#links.values(), ...this.#acceptor.clients]) link.terminate()
    this.#acceptor.close()
  }

  #dial(peer: NodeSpec, waitMs: number): void {
    if (this.#closed || !this.#isPeer(peer)) return
    const link = new WebSocket(`ws://${peer.address}:${this.#options.port}${MESH_PATH}`, {
      headers: { authorization: `Bearer ${this.#options.token}`, 'x-understudy-node': this.#options.self },
      perMessageDeflate: false,
      handshakeTimeout: HANDSHAKE_MS,
    })
    let opened = false
    link.on('open', () => {
      opened = true
      if (!this.#isPeer(peer)) return link.terminate()
      this.#links.set(peer.name, link)
      for (const listener of this.#linkListeners) guarded(`the link to ${peer.name}`, () => listener(peer.name))
    })
    link.on('error', () => undefined) // always followed by `close`
    link.on('close', () => {
      if (this.#links.get(peer.name) === link) this.#links.delete(peer.name)
      const nextMs = opened ? REDIAL.firstMs : Math.min(REDIAL.mostMs, waitMs * 2)
      const timer = setTimeout(() => {
        this.#timers.delete(timer)
        this.#dial(peer, nextMs)
      }, nextMs)
      this.#timers.add(timer)
    })
  }

  #accept(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const from = this.#callerOf(request)
    if (request.url !== MESH_PATH || from === undefined || this.#closed) {
      socket.end('HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
      return
    }
    this.#acceptor.handleUpgrade(request, socket, head, (link) => {
      link.on('error', () => link.terminate())
      link.on('message', (data) => this.#heard(from, String(data)))
    })
  }

  /** Who calls, when it knows the token and says a name that the config knows. */
  #callerOf({ headers }: IncomingMessage): NodeName | undefined {
    const given = Buffer.from(headers.authorization ?? '')
    const expected = Buffer.from(`Bearer ${this.#options.token}`)
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined
    return this.#peers.find(({ name }) => name === headers['x-understudy-node'])?.name
  }

  #isPeer(peer: NodeSpec): boolean {
    return this.#peers.some((one) => isSamePlace(one, peer))
  }

  #heard(from: NodeName, text: string): void {
    const message = decodeMessage(text)
    if (!this.#peers.some(({ name }) => name === from)) return
    if (isUndecoded(message)) return this.#notUnderstood.note(from, message)
    for (const listener of this.#listeners) guarded(`a message of ${from}`, () => listener(from, message))
  }
}

/** A link that fails while sending closes, and is dialled again. */
function ignoreOutcome(): void {}

function isSamePlace(a: NodeSpec, b: NodeSpec): boolean {
  return a.name === b.name && a.address === b.address
}
