/**
 * The HTTP side of a route: Node's own server, strict, in front of one Exchange per request.
 *
 * Requests come from strangers, so they are read by Node's parser in its strict mode, and what it lets through although
 * servers read it differently is refused here as well (headers.ts). A refused request gets 400 and its connection is
 * closed: after one ambiguous message nobody can say where the next one begins. Nothing of it reaches an instance.
 */
import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Server as NetServer, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { NodeName } from '../../core/model.ts'
import type { LiveRoute } from '../live-route.ts'
import { type Asked, Exchange } from './exchange.ts'
import { complaintAbout, framingOf, valuesOf } from './headers.ts'
import { answer, answerBytes, type Reason } from './own-answer.ts'
import type { ResponseHead } from './response-parser.ts'
import { join } from './tunnel.ts'

export interface FrontServer {
  readonly server: NetServer
  /** Stops taking new work on connections that are open; resolves nothing: whoever wants to wait counts connections. */
  wind(): void
  /** Called every few tens of milliseconds. */
  tick?(nowMs: number): void
  /** The node where all sessions that can be moved have logged in ahead. */
  readonly ahead?: NodeName | undefined
  /** Ends every connection now. */
  cutAll(): void
  readonly open: number
}

const NO_UPGRADE: Pick<Asked, 'upgrade' | 'onUpgraded'> = {
  upgrade: undefined,
  onUpgraded() {
    throw new Error('nobody asked for an upgrade')
  },
}

/** What is known of the clients' connections of one server. */
interface Clients {
  readonly sockets: Set<Socket>
  readonly busy: Map<Socket, Set<Exchange>>
  /** Connections on which a request was refused: whatever else arrives there means nothing. */
  readonly refused: WeakSet<Socket>
}

export function httpServer(entrance: LiveRoute): FrontServer {
  const clients: Clients = { sockets: new Set(), busy: new Map(), refused: new WeakSet() }
  const server = createServer({
    insecureHTTPParser: false,
    requireHostHeader: false, // required all the same, in headers.ts, so that the refusal is one of ours
    headersTimeout: 10_000,
    requestTimeout: 0, // a body may take as long as it keeps coming: uploads are not ours to time
    keepAliveTimeout: 75_000,
    connectionsCheckingInterval: 1_000,
    noDelay: true,
  })
  // The size of the head is bounded already; a second bound would silently drop headers beyond it.
  server.maxHeadersCount = 0
  takeRequests(server, entrance, clients)
  followConnections(server, entrance, clients)
  return {
    server,
    wind: () => wind(entrance, server),
    cutAll() {
      for (const socket of clients.sockets) socket.destroy()
    },
    get open() {
      return clients.sockets.size
    },
  }
}

function takeRequests(server: Server, entrance: LiveRoute, { busy, refused }: Clients): void {
  const begin = (request: IncomingMessage, response: ServerResponse, asked: Asked): void => {
    response.sendDate = false
    const exchange = new Exchange(entrance, request, response, asked)
    const here = busy.get(request.socket)
    here?.add(exchange)
    response.on('close', () => here?.delete(exchange))
    exchange.start()
  }
  const onRequest = (request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void => {
    if (refused.has(request.socket)) return
    const complaint = complaintAbout(request.rawHeaders, request.httpVersion)
    if (complaint === undefined) return begin(request, response, { expectsContinue, ...NO_UPGRADE })
    refused.add(request.socket)
    refuse(response, complaint)
  }
  server.on('request', (request, response) => onRequest(request, response, false))
  server.on('checkContinue', (request, response) => onRequest(request, response, true))
  server.on('upgrade', (request: IncomingMessage, stream: Duplex, early: Buffer) => {
    const socket = stream as Socket // it is one: this server listens on TCP only
    onUpgrade(request, socket, early, begin)
  })
  server.on('connect', (_request, stream: Duplex) => {
    stream.on('error', () => {}) // refused below; how it ends does not matter
    stream.end(answerBytes('bad-request', 'CONNECT is not offered here'))
  })
  server.on('clientError', (error: NodeJS.ErrnoException, stream: Duplex) => {
    const socket = stream as Socket
    if (refused.has(socket)) return
    refused.add(socket)
    refuseBytes(socket, error, busy.get(socket) ?? new Set())
  })
}

function followConnections(server: Server, entrance: LiveRoute, { sockets, busy }: Clients): void {
  server.on('connection', (socket) => {
    sockets.add(socket)
    busy.set(socket, new Set())
    entrance.counters.connections += 1
    socket.setKeepAlive(true, 10_000)
    socket.on('close', () => {
      // Also those whose response waits its turn behind another one, and so hears nothing of the socket.
      for (const exchange of busy.get(socket) ?? []) exchange.abandon()
      sockets.delete(socket)
      busy.delete(socket)
    })
  })
}

function wind(entrance: LiveRoute, server: Server): void {
  entrance.closing = true
  server.closeIdleConnections()
}

function refuse(response: ServerResponse, complaint: string): void {
  response.sendDate = false
  response.shouldKeepAlive = false
  answer(response, 'bad-request', complaint)
}

/** Node's parser stopped: the connection carries nothing that could be understood any more. */
function refuseBytes(socket: Socket, error: NodeJS.ErrnoException, exchanges: ReadonlySet<Exchange>): void {
  const begun = [...exchanges].some((exchange) => exchange.answerBegun)
  for (const exchange of [...exchanges]) exchange.abandon()
  if (begun || !socket.writable || error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const reason = REASONS[error.code ?? ''] ?? 'bad-request'
  socket.end(answerBytes(reason, reason === 'bad-request' ? 'it cannot be parsed' : ''))
  linger(socket)
}

const REASONS: Readonly<Record<string, Reason>> = {
  HPE_HEADER_OVERFLOW: 'head-too-large',
  ERR_HTTP_REQUEST_TIMEOUT: 'head-too-slow',
}

/** Closing with unread bytes resets the connection and may destroy the answer on its way; so wait a moment. */
function linger(socket: Socket): void {
  socket.removeAllListeners('data')
  socket.resume()
  socket.on('end', () => socket.destroy())
  setTimeout(() => socket.destroy(), 250).unref()
}

type Begin = (request: IncomingMessage, response: ServerResponse, asked: Asked) => void

/** Node has let go of this connection: it is answered through a response of our own, and closed or joined. */
function onUpgrade(request: IncomingMessage, socket: Socket, early: Buffer, begin: Begin): void {
  socket.on('error', () => {}) // its closing is what counts, and the response reports that
  const response = new ServerResponse(request)
  response.assignSocket(socket)
  response.shouldKeepAlive = false
  response.on('finish', () => socket.destroySoon())
  const complaint =
    complaintAbout(request.rawHeaders, request.httpVersion) ??
    (framingOf(request.rawHeaders) === 'none' ? undefined : 'an upgrade with a body')
  if (complaint !== undefined) {
    refuse(response, complaint)
    return
  }
  const protocol = valuesOf(request.rawHeaders, 'upgrade').join(', ')
  // HTTP/2 over an upgrade would hide every later request from us. To ignore the wish is always allowed.
  if (/h2c|http|tls/i.test(protocol)) {
    begin(request, response, { expectsContinue: false, ...NO_UPGRADE })
    return
  }
  begin(request, response, {
    expectsContinue: false,
    upgrade: protocol,
    onUpgraded(head, instance, rest, over) {
      response.detachSocket(socket)
      socket.write(headBytes(head), 'latin1')
      if (rest.length > 0) socket.write(rest)
      if (early.length > 0) instance.write(early)
      return join(socket, instance, over)
    },
  })
}

function headBytes(head: ResponseHead): string {
  let text = `HTTP/1.1 ${head.status} ${head.message}\r\n`
  for (let at = 0; at + 1 < head.rawHeaders.length; at += 2) {
    text += `${head.rawHeaders[at]}: ${head.rawHeaders[at + 1]}\r\n`
  }
  return `${text}\r\n`
}
