/**
 * Both sides of a proxied pair do anything at any moment: send, stop reading, half-close, reset, vanish, while tables change.
 * Afterwards no socket is left and every counter is back at 0. SOCKET_ORDERS=100000 is the long form (npm run test:sockets).
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { closeAll, closers, openBalancer, type TestBalancer, until } from '../../test/support/door.ts'
import type { Route, Target } from '../core/routing-table.ts'
import { type Random, seededRandom } from '../lib/random.ts'
import { join } from './http/tunnel.ts'
import { cutSocket } from './socket-end.ts'

afterEach(closeAll)

const ORDERS = Number(process.env.SOCKET_ORDERS ?? 400)
const AT_ONCE = 40
/** More than the kernel keeps for a peer that does not read, so that ends wait behind bytes. */
const BIG = Buffer.alloc(4_000_000, 'x')

const TCP: Partial<Route> = { protocol: 'tcp', probe: { path: null, everyMs: 10_000, timeoutMs: 2_000 }, holdMs: 300 }
const HTTP: Partial<Route> = { probe: { path: null, everyMs: 10_000, timeoutMs: 2_000 }, holdMs: 300 }

/** What one side of a connection may do. Each is legal for a peer, however unkind. */
const DEEDS: readonly ((socket: Socket, random: Random) => void)[] = [
  (socket) => void socket.write('hello'),
  (socket, random) => void socket.write(BIG.subarray(0, random() * (random() < 0.1 ? BIG.length : 300_000))),
  (socket) => void socket.end(),
  (socket, random) => void socket.end(BIG.subarray(0, random() * (random() < 0.1 ? BIG.length : 300_000))),
  (socket) => void (socket.writableEnded ? socket.destroy() : socket.resetAndDestroy()),
  (socket) => void socket.destroy(), // what a SIGKILL looks like: the kernel closes, with a reset if something was unread
  (socket) => void socket.pause(),
  (socket) => void socket.resume(),
]

const oneOf = <T>(list: readonly T[], random: Random): T => list[Math.floor(random() * list.length)] as T

const moment = (random: Random): Promise<void> =>
  new Promise((resolve) => {
    if (random() < 0.5) setImmediate(resolve)
    else setTimeout(resolve, random() * 3)
  })

async function misbehave(socket: Socket, random: Random): Promise<void> {
  for (let deeds = Math.floor(random() * 4); deeds > 0 && !socket.destroyed; deeds--) {
    await moment(random)
    oneOf(DEEDS, random)(socket, random)
  }
  // A peer may stay half-open for as long as it likes, and these leave some day.
  await new Promise((resolve) => setTimeout(resolve, random() * 30))
  socket.destroy()
}

interface UnkindInstance {
  readonly target: Target
  readonly server: Server
  /** As SIGKILL does: all of its connections at once. */
  kill(): void
}

/** An instance whose connections misbehave; with `greet` it answers what looks like an upgrade or a GET first. */
async function unkindInstance(id: string, random: Random, isHttp: boolean): Promise<UnkindInstance> {
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {}) // what is done to it is the point of the test
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    if (!isHttp) {
      socket.resume()
      void misbehave(socket, random)
      return
    }
    socket.once('data', (chunk) => {
      if (random() < 0.7) socket.write(chunk.includes('Upgrade') ? SWITCHED : OK_ENDLESS)
      void misbehave(socket, random)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const kill = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  closers.push(kill, () => server.close())
  return { server, kill, target: { id, node: 'a', host: '127.0.0.1', port, state: 'serving', term: 0 } }
}

const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'
const OK_ENDLESS = 'HTTP/1.1 200 OK\r\nContent-Length: 600000\r\n\r\n'
const ASKED = [
  'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
  'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 600000\r\n\r\nhello',
  'GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\nGET /3 HTTP/1.1\r\nHost: x\r\n\r\n',
]

const handles = (): number => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length

async function unkindClient(port: number, first: string, random: Random): Promise<void> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
  socket.on('error', () => {}) // as above
  socket.resume()
  await new Promise((resolve) => socket.once('connect', resolve).once('close', resolve))
  if (first !== '') socket.write(first)
  await misbehave(socket, random)
}

const open = ({ balancer }: TestBalancer): number => balancer.report().reduce((sum, counters) => sum + counters.open, 0)

async function run(isHttp: boolean): Promise<void> {
  const random = seededRandom(Number(process.env.SOCKET_SEED ?? 7))
  const route = isHttp ? HTTP : TCP
  const [teller, heard] = await socketPair()
  const before = handles()
  const one = await unkindInstance('one', random, isHttp)
  const two = await unkindInstance('two', random, isHttp)
  const balancer = await openBalancer([one.target, two.target], route)
  for (let done = 0; done < ORDERS; done += AT_ONCE) {
    const clients = Array.from({ length: AT_ONCE }, () =>
      unkindClient(balancer.port, isHttp ? oneOf(ASKED, random) : '', random),
    )
    for (let changes = 1 + Math.floor(random() * 4); changes > 0; changes--) {
      await new Promise((resolve) => setTimeout(resolve, random() * 12))
      // A table comes over a socket, so it is taken between the ends of connections that came in the same pass of the loop.
      if (random() < 0.5) one.kill()
      teller.write('table')
      await new Promise((resolve) => heard.once('data', resolve))
      const state = oneOf(['serving', 'dead', 'dead', 'dead', 'draining', 'gone'] as const, random)
      const targets = state === 'gone' ? [two.target] : [{ ...one.target, state }, two.target]
      balancer.route(targets, route)
    }
    await Promise.all(clients)
    await until('every connection is closed and counted', () => open(balancer) === 0, 30_000)
    balancer.route([one.target, two.target], route)
  }
  balancer.balancer.cutAll()
  for (const { server } of [one, two]) server.close()
  for (const close of closers.splice(0)) close()
  await until('no socket is left', () => handles() <= before - 2, 30_000)
}

describe('sockets', () => {
  test('of a TCP route are all closed and counted, whatever both sides do in any order', { timeout: 3_600_000 }, () =>
    run(false),
  )

  test('of an HTTP route are all closed and counted, whatever both sides do in any order', { timeout: 3_600_000 }, () =>
    run(true),
  )

  test('a pair that is cut in the moment in which an end is passed on is closed and counted', async () => {
    const [client, a] = await socketPair()
    const [instance, b] = await socketPair()
    let isOver = false
    const cut = join(a, b, () => {
      isOver = true
    })
    b.once('end', cut) // an end of the other side was asked for by then, and is not done
    instance.end()
    await until('both are closed', () => isOver)
    client.destroy()
    instance.destroy()
    expect([a.destroyed, b.destroyed]).toEqual([true, true])
  })

  test.each([0, 1, 2, 3])('a socket that is cut %i passes of the loop after its end emits close', async (passes) => {
    const [peer, socket] = await socketPair()
    let isClosed = false
    socket.on('close', () => {
      isClosed = true
    })
    socket.end('last words')
    for (let pass = 0; pass < passes; pass++) await new Promise((resolve) => setImmediate(resolve))
    cutSocket(socket)
    await until('it is closed', () => isClosed)
    peer.destroy()
  })
})

/** Both ends of one connection. */
async function socketPair(): Promise<[Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const far = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
  const [near] = await Promise.all([
    new Promise<Socket>((resolve) => server.once('connection', resolve)),
    new Promise((resolve) => far.once('connect', resolve)),
  ])
  server.close()
  for (const socket of [far, near]) {
    socket.on('error', () => {}) // closed on purpose
    closers.push(() => socket.destroy())
  }
  return [far, near]
}
