/**
 * The built balancer as a process, with instances that are processes too, killed and frozen under steady load. What is
 * promised in the README about instances that die or hang is measured here, with the default settings.
 *
 * Exercises: balancer. Engines: none.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { FromBalancer } from '../../src/balancer/balancer-messages.ts'
import { type BalancerLink, connectBalancer } from '../../src/balancer/control-protocol.ts'
import type { Route, RoutingTable, Target } from '../../src/core/routing-table.ts'
import { failed, type Load, type Shot, startLoad, summarize } from '../../src/lib/steady-load.ts'

const MAIN = new URL('../../dist/balancer/main.js', import.meta.url).pathname
const INSTANCE = new URL('./balancer-instance.mjs', import.meta.url).pathname

let folder: string
let children: ChildProcess[] = []
let closers: (() => void)[] = []
let version = 1

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-balancer-'))
})

afterEach(() => {
  for (const close of closers) close()
  for (const child of children) child.kill('SIGKILL') // SIGKILL ends stopped processes too
  closers = []
  children = []
  rmSync(folder, { recursive: true, force: true })
})

async function until(what: string, holds: () => boolean, withinMs = 10_000): Promise<void> {
  const deadline = performance.now() + withinMs
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

interface Instance {
  readonly target: Target
  readonly child: ChildProcess
  /** Numbers of the POSTs that reached it. */
  posts(): Set<string>
}

async function startInstance(name: string, port = 0): Promise<Instance> {
  const file = join(folder, `${name}.posts`)
  const child = spawn(process.execPath, [INSTANCE, name, String(port), file], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  let printed = ''
  child.stdout?.on('data', (chunk) => {
    printed += chunk
  })
  await until(`${name} listens`, () => printed.includes('\n'))
  return {
    child,
    target: { id: name, node: 'a', host: '127.0.0.1', port: Number(printed), state: 'serving', term: 0 },
    posts: () => new Set(existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []),
  }
}

function startBalancer(): ChildProcess {
  const args = [MAIN, '--socket', join(folder, 'door.sock'), '--saved', join(folder, 'door.json')]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] })
  children.push(child)
  return child
}

function route(port: number, targets: readonly Target[], more: Partial<Route> = {}): Route {
  const probe = { path: '/healthz', everyMs: 250, timeoutMs: 250 }
  return {
    service: 'web',
    protocol: 'http',
    purpose: 'serving',
    host: '127.0.0.1',
    port,
    holdMs: 5_000,
    probe,
    targets,
    peers: [],
    readOnly: null,
    ...more,
  }
}

function table(...routes: Route[]): RoutingTable {
  version += 1
  return { version, node: 'a', routes }
}

interface Agent {
  readonly link: BalancerLink
  readonly heard: FromBalancer[]
}

async function startAgent(first: RoutingTable): Promise<Agent> {
  const heard: FromBalancer[] = []
  const link = connectBalancer(join(folder, 'door.sock'), { onMessage: (message) => heard.push(message), onGone() {} })
  closers.push(() => link.close())
  link.publish(first)
  await until('the table is in use', () => heard.some((m) => m.type === 'hello' && m.version === first.version))
  await until('it listens', () => heard.some((m) => m.type === 'listening'))
  return { link, heard }
}

async function threeInstances(): Promise<{
  instances: Instance[]
  port: number
  agent: Agent
  balancer: ChildProcess
}> {
  const balancer = startBalancer()
  const instances = await Promise.all(['one', 'two', 'three'].map((name) => startInstance(name)))
  const port = await freePort()
  const agent = await startAgent(
    table(
      route(
        port,
        instances.map(({ target }) => target),
      ),
    ),
  )
  return { instances, port, agent, balancer }
}

/** `control` asks an instance that no fault hits, past the balancer: what it suffers is the machine's doing. */
function steadyLoad(port: number, spared: Instance): { get: Load; post: Load; control: Load } {
  const straight = [`http://127.0.0.1:${spared.target.port}/x`]
  const control = startLoad({ urls: straight, method: 'GET', perSecond: 50 })
  const urls = [`http://127.0.0.1:${port}/x`]
  const get = startLoad({ urls, method: 'GET', perSecond: 200 })
  const post = startLoad({
    urls,
    method: 'POST',
    perSecond: 50,
    body: (index) => `order ${index}`,
    headers: (index) => ({ 'x-number': String(index) }),
  })
  return { get, post, control }
}

/** The slowest of those that were open at the fault or came later: processes that have just started are slow as well. */
function slowestSince(shots: readonly Shot[], faultMs: number): number {
  return summarize(shots.filter((shot) => shot.atMs + shot.tookMs > faultMs)).slowestMs
}

const seconds = (count: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, count * 1_000))

function first<T>(items: readonly T[]): T {
  const [item] = items
  if (item === undefined) throw new Error('an empty list')
  return item
}

function last<T>(items: readonly T[]): T {
  return first(items.slice(-1))
}

function report(what: string, gets: readonly Shot[], posts: readonly Shot[], straight: readonly Shot[]): void {
  const figures = { GET: summarize(gets), POST: summarize(posts), control: summarize(straight) }
  console.log(what, JSON.stringify(figures))
}

test('kill -9 of an instance: no GET fails, only POSTs that reached it, and no client waits 200 ms', async () => {
  const { instances, port } = await threeInstances()
  const { get, post, control } = steadyLoad(port, last(instances))
  await seconds(2)
  const victim = first(instances)
  const killedMs = performance.now() - post.beganMs
  const ended = once(victim.child, 'exit')
  victim.child.kill('SIGKILL')
  await ended
  const goneMs = performance.now() - post.beganMs
  await seconds(3)
  const [gets, posts, straight] = [await get.stop(), await post.stop(), await control.stop()]
  report('kill -9:', gets, posts, straight)
  const busyMs = slowestSince(straight, killedMs)
  expect(gets.filter(failed)).toEqual([])
  // Failed: only those that were on their way when it died, and its socket takes what comes until it is gone. (Not all of
  // them are in its log: bytes that had reached its socket may have died there unread, and no client can tell one from
  // the other.)
  for (const shot of posts.filter(failed)) {
    expect(shot).toMatchObject({ status: 502 })
    expect(shot.body).toContain('unknown-fate')
    expect(shot.atMs).toBeLessThan(goneMs + 50 + busyMs)
    expect(shot.atMs + shot.tookMs).toBeGreaterThan(killedMs)
  }
  // And all that it got and never answered failed: none was repeated elsewhere.
  const answered = new Set(posts.filter((shot) => !failed(shot)).map((shot) => String(shot.index)))
  const reached = instances.flatMap((instance) => [...instance.posts()]).filter((number) => answered.has(number))
  expect(reached.length).toBe(answered.size)
  // Each order was carried out at most once.
  const all = instances.flatMap((instance) => [...instance.posts()])
  expect(all.length).toBe(new Set(all).size)
  expect(slowestSince(gets, killedMs)).toBeLessThan(200 + busyMs)
})

test('SIGSTOP of an instance, defaults untouched: no GET fails and the slowest takes less than a second', async () => {
  const { instances, port, agent } = await threeInstances()
  const { get, post, control } = steadyLoad(port, last(instances))
  await seconds(2)
  const victim = first(instances)
  const stoppedMs = performance.now() - get.beganMs
  victim.child.kill('SIGSTOP')
  await until('the verdict is told', () =>
    agent.heard.some((m) => m.type === 'verdict' && m.targetId === 'one' && m.verdict === 'dead'),
  )
  await seconds(3)
  victim.child.kill('SIGCONT')
  const thawedAt = agent.heard.length
  await until('it is believed healthy again', () =>
    agent.heard.slice(thawedAt).some((m) => m.type === 'verdict' && m.targetId === 'one' && m.verdict === 'healthy'),
  )
  const [gets, posts, straight] = [await get.stop(), await post.stop(), await control.stop()]
  report('SIGSTOP:', gets, posts, straight)
  expect(gets.filter(failed)).toEqual([])
  // What hung there was answered after all: a POST is neither repeated nor given up while it may yet be answered.
  expect(posts.filter(failed)).toEqual([])
  expect(slowestSince(gets, stoppedMs)).toBeLessThan(1_000 + slowestSince(straight, stoppedMs))
})

test('without an agent everything goes on, also in a balancer that was killed and started again', async () => {
  const { instances, port, agent, balancer } = await threeInstances()
  const { get, post, control } = steadyLoad(port, last(instances))
  await seconds(1)
  agent.link.close()
  await seconds(1)
  first(instances).child.kill('SIGKILL')
  await seconds(1)
  const before = [...(await get.stop()), ...(await post.stop())]
  await control.stop()
  expect(before.filter((shot) => shot.method === 'GET' && failed(shot))).toEqual([])
  balancer.kill('SIGKILL')
  startBalancer()
  let served = ''
  await until('it serves from the saved table', () => {
    ask(port).then((text) => {
      served = text
    }, ignore)
    return served !== ''
  })
  expect(served).toMatch(/^(one|two|three) GET 0/)
})

test('WebSocket and other upgraded connections pass both ways, and end with their target', async () => {
  const { instances, port, agent } = await threeInstances()
  const socket = await open(port)
  socket.write(
    'GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\nearly ',
  )
  await until('it was upgraded', () => socket.seen.includes('101 Switching Protocols'))
  socket.write('later')
  await until('the echo came', () => socket.seen.endsWith('early later'))
  const dead = instances.map(({ target }) => ({ ...target, state: 'dead' as const }))
  agent.link.publish(table(route(port, dead)))
  await until('it was cut', () => socket.over)
})

test('a port that is taken is reported and tried again', async () => {
  startBalancer()
  const instance = await startInstance('one')
  const port = await freePort()
  const squatter = createServer()
  await new Promise<void>((resolve) => squatter.listen(port, '127.0.0.1', resolve))
  const heard: FromBalancer[] = []
  const link = connectBalancer(join(folder, 'door.sock'), { onMessage: (m) => heard.push(m), onGone: ignore })
  closers.push(
    () => link.close(),
    () => squatter.close(),
  )
  link.publish(table(route(port, [instance.target])))
  await until('it is reported', () => heard.some((m) => m.type === 'listen-failed' && m.code === 'EADDRINUSE'))
  squatter.close()
  await until('it listens', () => heard.some((m) => m.type === 'listening'))
  expect(await ask(port)).toBe('one GET 0\n')
})

test('no instance: requests are held, served when one comes, and refused politely when none comes', async () => {
  startBalancer()
  const port = await freePort()
  const agent = await startAgent(table(route(port, [])))
  const held = Promise.all(Array.from({ length: 20 }, () => ask(port)))
  await until('they are held', () => agent.heard.some((m) => m.type === 'counters' && m.routes[0]?.held === 20))
  const instance = await startInstance('late')
  agent.link.publish(table(route(port, [instance.target])))
  expect(new Set(await held)).toEqual(new Set(['late GET 0\n']))
  agent.link.publish(table(route(port, [], { holdMs: 100 })))
  const refusal = await answer(port)
  expect(refusal).toMatchObject({ status: 503, reason: 'no-instance', retryAfter: '1' })
})

test('SIGTERM: open requests end, nothing new is accepted, exit 0', async () => {
  const { port, balancer } = await threeInstances()
  const slow = ask(port, '/?delay=1000')
  await seconds(0.3)
  let code: number | null | undefined
  balancer.on('exit', (exitCode) => {
    code = exitCode
  })
  balancer.kill('SIGTERM')
  let refusedWith = ''
  await until('it listens no more', () => {
    ask(port).catch((error: NodeJS.ErrnoException) => {
      refusedWith = error.code ?? ''
    })
    return refusedWith === 'ECONNREFUSED'
  })
  expect(await slow).toMatch(/GET 0/)
  await until('it exits', () => code !== undefined)
  expect(code).toBe(0)
})

function ignore(): void {}

function ask(port: number, path = '/'): Promise<string> {
  return answer(port, path).then(({ text }) => text)
}

interface Answer {
  readonly status: number | undefined
  readonly text: string
  readonly reason: string | string[] | undefined
  readonly retryAfter: string | undefined
}

function answer(port: number, path = '/'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', port, path, agent: false }, (incoming) => {
      let text = ''
      incoming.on('data', (chunk) => {
        text += chunk
      })
      const { statusCode: status, headers } = incoming
      incoming.on('end', () =>
        resolve({ status, text, reason: headers['x-understudy'], retryAfter: headers['retry-after'] }),
      )
    })
    outgoing.on('error', reject)
    outgoing.end()
  })
}

async function open(port: number): Promise<Socket & { seen: string; over: boolean }> {
  const socket = Object.assign(connect(port, '127.0.0.1'), { seen: '', over: false })
  closers.push(() => socket.destroy())
  socket.on('data', (chunk) => {
    socket.seen += chunk.toString('latin1')
  })
  socket.on('error', ignore)
  socket.on('close', () => {
    socket.over = true
  })
  await new Promise((resolve) => socket.once('connect', resolve))
  return socket
}
