/**
 * The HTTP side of a route: Node's own server, strict, in front of one Exchange per request, one at a time for each
 * connection (client-queue.ts).
 *
 * Requests come from untrusted clients, so they are read by Node's parser in its strict mode, and what it lets through
 * although servers read it differently is refused here as well (headers.ts). A refused request gets 400 and its
 * connection is closed: after one ambiguous message it is not known where the next one begins. Nothing of it reaches an
 * instance.
 */
import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Server as NetServer, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { NodeName } from '../../core/model.ts'
import type { LiveRoute } from '../live-route.ts'
import { ClientQueue, type Turn } from './client-queue.ts'
import { type Asked, Exchange } from './exchange.ts'
import { complaintAbout, complaintAboutTarget, offeredUpgrade, withoutUpgrade } from './headers.ts'
import { answer, answerBytes, headBytes, type Reason } from './own-answer.ts'
import { join } from './tunnel.ts'

export interface FrontServer {
  readonly server: NetServer
  /** Stops taking new work on connections that are open; to wait for them, count connections. */
  wind(): void
  /** Answers what comes on connections that are open, and closes each with its answer. */
  retire?(): void
  /** Called every few tens of milliseconds. */
  tick?(nowMs: number): void
  /** The node where all sessions that can be moved have logged in ahead. */
  readonly ahead?: NodeName | undefined
  /** A hold at which no session has anything open: `service@node#hold`. */
  readonly still?: string | undefined
  /** The same, and no session there needs anything more from that server. */
  readonly ready?: string | undefined
  /** Ends every connection now. */
  cutAll(): void
  readonly open: number
}

const NO_UPGRADE: Pick<Asked, 'upgrade' | 'onUpgraded'> = {
  upgrade: undefined,
  onUpgraded() {
    throw new Error('no client asked for an upgrade')
  },
}

export function httpServer(entrance: LiveRoute): FrontServer {
  const server = createServer({
    insecureHTTPParser: false,
    requireHostHeader: false, // required all the same, in headers.ts, so that the refusal is one of ours
    headersTimeout: entrance.limits.headMs,
    requestTimeout: 0, // a body may take as long as it keeps coming: see exchange-deadline.ts
    keepAliveTimeout: 75_000,
    connectionsCheckingInterval: 1_000,
    noDelay: true,
  })
  // The size of the head is bounded already; a second bound would silently drop headers beyond it.
  server.maxHeadersCount = 0
  const front = new HttpFront(entrance, server)
  return {
    server,
    wind: () => wind(entrance, server),
    retire() {
      entrance.closing = true
    },
    tick: (nowMs) => front.tick(nowMs),
    cutAll: () => front.cutAll(),
    get open() {
      return front.open
    },
  }
}

function wind(entrance: LiveRoute, server: Server): void {
  entrance.closing = true
  server.closeIdleConnections()
}

class HttpFront {
  readonly #entrance: LiveRoute
  readonly #server: Server
  readonly #queues = new Map<Socket, ClientQueue>()
  readonly #exchanges = new Set<Exchange>()

  constructor(entrance: LiveRoute, server: Server) {
    this.#entrance = entrance
    this.#server = server
    server.on('connection', (socket) => this.#onConnection(socket))
    server.on('request', (request, response) => this.#onRequest(request, response, false))
    server.on('checkContinue', (request, response) => this.#onRequest(request, response, true))
    server.on('upgrade', (request, stream: Duplex, early: Buffer) => {
      this.#onUpgrade(request, stream as Socket, early) // it is one: this server listens on TCP only
    })
    server.on('connect', (_request, stream: Duplex) => {
      stream.on('error', () => {}) // refused below; how it ends does not matter
      this.#refuseBytes(stream as Socket, 'bad-request', 'CONNECT is not offered here')
    })
    server.on('clientError', (error: NodeJS.ErrnoException, stream: Duplex) => this.#onBroken(error, stream as Socket))
  }

  get open(): number {
    return this.#queues.size
  }

  tick(nowMs: number): void {
    this.#server.headersTimeout = this.#entrance.limits.headMs
    for (const exchange of this.#exchanges) exchange.tick(nowMs)
    for (const queue of this.#queues.values()) queue.tick(nowMs)
  }

  cutAll(): void {
    for (const socket of this.#queues.keys()) socket.destroy()
  }

  #onConnection(socket: Socket): void {
    if (this.#queues.has(socket)) return // one that is read anew: see #onUpgrade
    this.#queues.set(socket, new ClientQueue(socket, this.#entrance.house.clock))
    this.#entrance.counters.connections += 1
    socket.setKeepAlive(true, 10_000)
    socket.on('close', () => this.#queues.delete(socket))
  }

  #onRequest(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void {
    const queue = this.#queues.get(request.socket)
    if (!queue || queue.isClosing) return
    const complaint = complaintAboutRequest(request)
    if (complaint === undefined) {
      queue.add(this.#turn(request, response, { expectsContinue, ...NO_UPGRADE }))
      return
    }
    queue.add(refusal(request, response, complaint))
    queue.closeAfter()
  }

  #turn(request: IncomingMessage, response: ServerResponse, asked: Asked): Turn {
    let exchange: Exchange | undefined
    let spoiled: string | undefined
    return {
      request,
      response,
      start: () => {
        if (spoiled !== undefined) return refuse(response, spoiled)
        response.sendDate = false
        const begun = new Exchange(this.#entrance, request, response, asked)
        exchange = begun
        this.#exchanges.add(begun)
        begun.start(() => this.#exchanges.delete(begun))
      },
      spoil(detail) {
        spoiled = detail
        exchange?.spoil(detail)
      },
    }
  }

  /** Node has let go of this connection: it is answered through a response of our own, and closed or joined. */
  #onUpgrade(request: IncomingMessage, socket: Socket, early: Buffer): void {
    const queue = this.#queues.get(socket)
    if (!queue || queue.isClosing) return
    socket.on('error', ignore) // its closing is what counts, and the response reports that
    if (queue.latest) {
      // Behind another request there is no way to change the protocol. Node has stopped telling that request of its socket.
      const { response } = queue.latest
      socket.on('drain', () => response.emit('drain'))
      queue.closeAfter()
      return
    }
    const complaint = complaintAboutRequest(request)
    const protocol = offeredUpgrade(request.rawHeaders, request.httpVersion)
    if (complaint === undefined && protocol === undefined) return this.#readAnew(request, socket, early)
    const response = new ServerResponse(request)
    response.assignSocket(socket)
    response.shouldKeepAlive = false
    response.on('finish', () => socket.destroySoon())
    if (complaint !== undefined) {
      queue.add(refusal(request, response, complaint))
      queue.closeAfter()
      return
    }
    const { clock } = this.#entrance.house
    queue.add(
      this.#turn(request, response, {
        expectsContinue: false,
        upgrade: protocol,
        onUpgraded: (head, instance, rest, over) => {
          response.detachSocket(socket)
          socket.write(headBytes(head.status, head.message, head.rawHeaders), 'latin1')
          if (rest.length > 0) socket.write(rest)
          if (early.length > 0) instance.write(early)
          return join(socket, instance, over, { clock, ms: this.#entrance.limits.idleMs })
        },
      }),
    )
  }

  /**
   * The wish for another protocol is ignored. Node's server has no word for that once it listens to upgrades at all, so the
   * same bytes are given to it again, without the wish.
   */
  #readAnew(request: IncomingMessage, socket: Socket, early: Buffer): void {
    const { method, url, httpVersion, rawHeaders } = request
    const start = `${method} ${url} HTTP/${httpVersion}\r\n`
    let head = start
    const kept = withoutUpgrade(rawHeaders)
    for (let at = 0; at + 1 < kept.length; at += 2) head += `${kept[at]}: ${kept[at + 1]}\r\n`
    socket.off('error', ignore) // Node listens again, and the next request may have the same wish
    socket.unshift(Buffer.concat([Buffer.from(`${head}\r\n`, 'latin1'), early]))
    this.#server.emit('connection', socket)
  }

  /** Node's parser stopped: nothing that still comes on this connection can be understood. */
  #onBroken(error: NodeJS.ErrnoException, socket: Socket): void {
    const queue = this.#queues.get(socket)
    if (!queue || queue.isClosing) return
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy()
      return
    }
    const latest = queue.latest
    if (latest && !latest.request.complete) {
      queue.closeAfter()
      latest.spoil('it cannot be parsed')
      return
    }
    const reason = REASONS[error.code ?? ''] ?? 'bad-request'
    // While nothing is read, a head cannot arrive: that it is late says nothing about the client.
    if (reason === 'head-too-slow' && queue.isGated) queue.closeAfter()
    else this.#refuseBytes(socket, reason, reason === 'bad-request' ? 'it cannot be parsed' : '')
  }

  #refuseBytes(socket: Socket, reason: Reason, detail: string): void {
    this.#queues.get(socket)?.closeAfter(answerBytes(reason, detail))
  }
}

function complaintAboutRequest({
  method = 'GET',
  url = '/',
  rawHeaders,
  httpVersion,
}: IncomingMessage): string | undefined {
  return complaintAbout(rawHeaders, httpVersion) ?? complaintAboutTarget(method, url)
}

function refusal(request: IncomingMessage, response: ServerResponse, complaint: string): Turn {
  return { request, response, start: () => refuse(response, complaint), spoil() {} }
}

function refuse(response: ServerResponse, complaint: string): void {
  response.sendDate = false
  response.shouldKeepAlive = false
  answer(response, 'bad-request', complaint)
}

function ignore(): void {}

const REASONS: Readonly<Record<string, Reason>> = {
  HPE_HEADER_OVERFLOW: 'head-too-large',
  ERR_HTTP_REQUEST_TIMEOUT: 'head-too-slow',
}
