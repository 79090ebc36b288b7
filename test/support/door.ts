/** A door and its instances inside the test's own process, on free loopback ports, for tests of single behaviours. */
import { createServer, type RequestListener, type Server } from 'node:http'
import { type AddressInfo, connect, createServer as createNetServer, type Socket } from 'node:net'
import { Balancer, type BalancerEvents } from '../../src/balancer/balancer.ts'
import type { BalancerSecret } from '../../src/balancer/control-protocol.ts'
import type { SessionTally } from '../../src/core/replicated/session-counts.ts'
import type { Route, Target } from '../../src/core/routing-table.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { seededRandom } from '../../src/lib/random.ts'

/** Everything that a test opens is pushed here and closed after it. */
export const closers: (() => void)[] = []

export function closeAll(): void {
  for (const close of closers.splice(0)) close()
}

export async function until(what: string, holds: () => boolean, withinMs = 10_000): Promise<void> {
  const deadline = performance.now() + withinMs
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

export async function freePort(): Promise<number> {
  const server = createNetServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

export interface TestInstance {
  readonly target: Target
  readonly server: Server
}

/** Probes are answered here and are not seen by `listener`. */
export async function httpInstance(id: string, listener: RequestListener): Promise<TestInstance> {
  const server = createServer((request, response) => {
    if (request.url === '/healthz') response.end('well')
    else listener(request, response)
  })
  return { server, target: await listening(id, server) }
}

/** An instance that speaks for itself, byte by byte; probes are answered unless it answers them. */
export async function rawInstance(id: string, onRequest: (socket: Socket, bytes: string) => void): Promise<Target> {
  const server = createNetServer((socket) => {
    socket.on('error', () => {}) // tests cut connections on purpose
    socket.on('data', (chunk) => {
      const bytes = chunk.toString('latin1')
      if (bytes.startsWith('GET /healthz')) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
      else onRequest(socket, bytes)
    })
  })
  return listening(id, server)
}

async function listening(id: string, server: Server | import('node:net').Server): Promise<Target> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const { port } = server.address() as AddressInfo
  return { id, node: 'a', host: '127.0.0.1', port, state: 'serving', term: 0 }
}

export interface TestBalancer {
  readonly balancer: Balancer
  readonly port: number
  readonly verdicts: string[]
  readonly sessions: SessionTally[]
  /** Where it said last that all sessions have logged in ahead. */
  ahead(): readonly string[]
  /** Where it said last that nothing is open and nothing begins. */
  still(): readonly string[]
  /** Of those: where no session needs anything more. */
  ready(): readonly string[]
  /** A new table with these targets. */
  route(targets: readonly Target[], more?: Partial<Route>): void
}

export async function openBalancer(
  targets: readonly Target[],
  more: Partial<Route> = {},
  secret: BalancerSecret | null = null,
): Promise<TestBalancer> {
  const port = await freePort()
  const verdicts: string[] = []
  const sessions: SessionTally[] = []
  let ahead: readonly string[] = []
  let still: readonly string[] = []
  let ready: readonly string[] = []
  let listens = false
  let version = 0
  const events: BalancerEvents = {
    onListening() {
      listens = true
    },
    onListenFailed() {},
    onVerdict: (_service, targetId, verdict) => verdicts.push(`${targetId} ${verdict}`),
    onFull: (_service, targetId, isFull) => void verdicts.push(`${targetId} ${isFull ? 'full' : 'has room'}`),
    onSessions: (tally) => void sessions.push(tally),
    onAhead(places) {
      ahead = places
    },
    onStill(places, ofThose) {
      still = places
      ready = ofThose
    },
  }
  const balancer = new Balancer(systemClock, seededRandom(1), events, () => secret)
  const route = (given: readonly Target[], changes: Partial<Route> = more): void => {
    version += 1
    const probe = { path: '/healthz', everyMs: 100, timeoutMs: 250 }
    const plain: Route = {
      service: 'web',
      protocol: 'http',
      purpose: 'serving',
      host: '127.0.0.1',
      port,
      holdMs: 2_000,
      probe,
      targets: given,
      peers: ['127.0.0.1'],
      readOnly: null,
    }
    balancer.apply({ version, node: 'a', routes: [{ ...plain, ...changes }] })
  }
  route(targets, more)
  closers.push(() => {
    balancer.cutAll()
  })
  await until('the door listens', () => listens)
  return { balancer, port, verdicts, sessions, ahead: () => ahead, still: () => still, ready: () => ready, route }
}

export interface RawClient {
  readonly socket: Socket
  seen(): string
  closed(): boolean
  reset(): boolean
}

/** A client that writes exactly these bytes. */
export async function rawClient(port: number, bytes: string | Buffer): Promise<RawClient> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  closers.push(() => socket.destroy())
  let seen = ''
  let closed = false
  let reset = false
  socket.on('data', (chunk) => {
    seen += chunk.toString('latin1')
  })
  socket.on('end', () => {
    closed = true
  })
  socket.on('close', () => {
    closed = true
  })
  socket.on('error', () => {
    reset = true
  })
  await new Promise((resolve) => socket.once('connect', resolve))
  socket.write(bytes, 'latin1')
  return { socket, seen: () => seen, closed: () => closed, reset: () => reset }
}
