/**
 * A balancer hands over to its successor, twice, while clients send requests on kept and on new connections and while a stream is open.
 * Counted is what clients see: no request refused, no connection reset, no stream ended.
 *
 * Exercises: balancer, local. Engines: none. Fast.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { Agent, createServer, request } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { FromBalancer } from '../../src/balancer/balancer-messages.ts'
import { type BalancerLink, connectBalancer } from '../../src/balancer/control-protocol.ts'
import type { Route, RoutingTable } from '../../src/core/routing-table.ts'
import { readIdentityFile } from '../../src/lib/identity-file.ts'
import { signal } from '../../src/lib/proc.ts'
import { findProcesses } from '../../src/local/node-processes.ts'
import { until } from './process-place.ts'

const MAIN = new URL('../../dist/balancer/main.js', import.meta.url).pathname

let folder: string
let balancer: ChildProcess
let link: BalancerLink
let heard: FromBalancer[]
const servers: Server[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'und-handover-'))
  heard = []
})
afterEach(async () => {
  link.close()
  for (const { identity } of findProcesses(folder)) signal(identity, 'SIGKILL')
  balancer.kill('SIGKILL')
  for (const server of servers.splice(0)) server.close()
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
})

const args = () => [MAIN, '--socket', join(folder, 'b.sock'), '--saved', join(folder, 'balancer-saved.json')]

async function listening(server: Server, port = 0): Promise<number> {
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

async function freePort(): Promise<number> {
  const port = await listening(createTcpServer())
  await new Promise((resolve) => servers.pop()?.close(resolve))
  return port
}

function routeTo(service: string, protocol: 'http' | 'tcp', port: number, target: number): Route {
  const to = { id: `${service}@a`, node: 'a', host: '127.0.0.1', port: target, state: 'serving' as const, term: 0 }
  const probe = { path: protocol === 'http' ? '/' : null, everyMs: 250, timeoutMs: 1_000 }
  const rest = { purpose: 'serving' as const, holdMs: 5_000, peers: [], readOnly: null }
  return { service, protocol, host: '127.0.0.1', port, probe, targets: [to], ...rest }
}

const identity = () => readIdentityFile(join(folder, 'balancer.json'))
const hellos = () => heard.flatMap((message) => (message.type === 'hello' ? message.pid : []))

/** Requests one after the other, for as long as they are wanted; what went wrong is kept. */
function load(port: number, agent: Agent | undefined, method: 'GET' | 'POST') {
  const seen = { done: 0, failed: [] as string[] }
  let going = true
  const one = () =>
    new Promise<void>((resolve) => {
      const over = (wrong?: string) => {
        if (wrong) seen.failed.push(wrong)
        else seen.done += 1
        resolve()
      }
      const asked = request({ host: '127.0.0.1', port, method, ...(agent && { agent }) }, (response) => {
        response.resume()
        response.once('end', () => over(response.statusCode === 200 ? undefined : `status ${response.statusCode}`))
        response.once('error', (error) => over(error.message))
      })
      asked.once('error', (error) => over(error.message))
      asked.end(method === 'POST' ? 'body' : undefined)
    })
  const ended = (async () => {
    while (going) await one()
  })()
  return {
    seen,
    stop() {
      going = false
      return ended
    },
  }
}

async function handOver(): Promise<number> {
  const before = identity()?.pid ?? balancer.pid
  link.handOver(process.execPath, [...args(), '--take-over'])
  await until('the successor is the balancer', () => {
    const pid = identity()?.pid
    return pid !== undefined && pid !== before && hellos().at(-1) === pid
  })
  return identity()?.pid ?? 0
}

test('two hand-overs under load: no request fails, a stream goes on, and the old process ends with it', async () => {
  mkdirSync(join(folder, 'instances'))
  const instance = await listening(
    createServer((asked, answer) => {
      asked.resume()
      asked.once('end', () => setTimeout(() => answer.end('ok'), 5))
    }),
  )
  const echo = await listening(createTcpServer((socket) => socket.on('error', () => {}).pipe(socket)))
  const [port, streamPort] = [await freePort(), await freePort()]
  balancer = spawn(process.execPath, args(), { stdio: ['ignore', 'inherit', 'inherit'], detached: true })
  link = connectBalancer(join(folder, 'b.sock'), { onMessage: (message) => heard.push(message), onGone() {} })
  const table = (version: number): RoutingTable => ({
    ...{ version, node: 'a' },
    routes: [routeTo('web', 'http', port, instance), routeTo('echo', 'tcp', streamPort, echo)],
  })
  link.publish(table(1))
  await until('it listens', () => heard.filter(({ type }) => type === 'listening').length >= 2)

  const stream: Socket = connect(streamPort, '127.0.0.1')
  await once(stream, 'connect')
  let echoed = ''
  let broken = false
  stream.on('data', (data) => {
    echoed += data
  })
  stream.on('close', () => {
    broken = true
  })
  stream.write('1')
  await until('the stream is joined', () => echoed === '1')

  const agents = [new Agent({ keepAlive: true, maxSockets: 1 }), new Agent({ keepAlive: true, maxSockets: 1 })]
  const loads = [load(port, agents[0], 'GET'), load(port, agents[1], 'POST'), load(port, undefined, 'POST')]
  const busy = () => Math.min(...loads.map(({ seen }) => seen.done))
  await until('there is load', () => busy() > 20)

  const second = await handOver()
  const more = busy() + 50
  await until('the load goes on', () => busy() > more)
  expect(
    findProcesses(folder)
      .map(({ identity: { pid } }) => pid)
      .sort(),
  ).toEqual([balancer.pid, second].sort())
  stream.write('2')
  await until('the stream goes on', () => echoed === '12')

  link.publish(table(2))
  await until('the table is in use, by the predecessor, too', () =>
    heard.some((message) => message.type === 'hello' && message.pid === second && message.version === 2),
  )
  const third = await handOver()
  expect(third).not.toBe(second)
  const evenMore = busy() + 50
  await until('the load goes on', () => busy() > evenMore)
  stream.write('3')
  await until('the stream goes on', () => echoed === '123')
  await Promise.all(loads.map((one) => one.stop()))
  for (const agent of agents) agent.destroy()
  expect(loads.flatMap(({ seen }) => seen.failed)).toEqual([])
  expect(broken).toBe(false)

  stream.end()
  await until('the predecessors end with their last connection', () =>
    findProcesses(folder).every(({ identity: { pid } }) => pid === third),
  )
  const requests = () => {
    const last = heard.findLast((message) => message.type === 'counters')
    return last?.type === 'counters' ? last.routes.find(({ service }) => service === 'web')?.requests : 0
  }
  const done = loads.reduce((sum, { seen }) => sum + seen.done, 0)
  await until('all of it was counted', () => (requests() ?? 0) >= done)
  expect(requests()).toBe(done)
  expect(readFileSync(join(folder, 'balancer.json'), 'utf8')).toContain(String(third))
}, 120_000)

test('a successor that ends at once, and one that cannot be started: the old one listens, and is controlled', async () => {
  const instance = await listening(createServer((_, answer) => answer.end('ok')))
  const port = await freePort()
  balancer = spawn(process.execPath, args(), { stdio: ['ignore', 'inherit', 'inherit'], detached: true })
  link = connectBalancer(join(folder, 'b.sock'), { onMessage: (message) => heard.push(message), onGone() {} })
  link.publish({ version: 1, node: 'a', routes: [routeTo('web', 'http', port, instance)] })
  await until('it listens', () => heard.some(({ type }) => type === 'listening'))
  const requests = load(port, undefined, 'GET')
  link.handOver(process.execPath, ['-e', ''])
  link.handOver('/nonexistent/program', [])
  link.handOver(process.execPath, ['-e', 'process.send({ type: "prepared" }); setTimeout(() => {}, 300)'])
  const before = requests.seen.done
  await until('it goes on', () => requests.seen.done > before + 20)
  const known = hellos().length
  link.publish({ version: 9, node: 'a', routes: [routeTo('web', 'http', port, instance)] })
  await until('it is controlled', () => hellos().length > known)
  expect(new Set(hellos())).toEqual(new Set([balancer.pid]))
  await requests.stop()
  expect(requests.seen.failed).toEqual([])
}, 60_000)
