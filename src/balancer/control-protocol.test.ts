import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { closeAll, closers, until } from '../../test/support/door.ts'
import type { RoutingTable } from '../core/routing-table.ts'
import type { FromBalancer } from './balancer-messages.ts'
import { connectBalancer } from './control-protocol.ts'
import { ControlServer } from './control-server.ts'

let folder: string
let path: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-control-'))
  path = join(folder, 'door.sock')
})
afterEach(() => {
  closeAll()
  rmSync(folder, { recursive: true, force: true })
})

interface Heard {
  readonly server: ControlServer
  readonly tables: unknown[]
  /** In the order of arrival. */
  readonly secrets: unknown[]
  connections: number
  drains: number
}

async function openServer(): Promise<Heard> {
  const tables: unknown[] = []
  const secrets: unknown[] = []
  const counts = { connections: 0, drains: 0 }
  const server = await ControlServer.open(path, {
    onTable: (table) => tables.push(table),
    onSecrets: (value) => secrets.push(value, tables.length),
    onDrainAndExit() {
      counts.drains += 1
    },
    onConnected() {
      counts.connections += 1
    },
  })
  closers.push(() => server.close())
  return Object.assign(counts, { server, tables, secrets })
}

const table = (version: number): RoutingTable => ({ version, node: 'a', routes: [] })

test('an agent that is there first connects later by itself, and after a loss publishes its newest table again', async () => {
  const messages: FromBalancer[] = []
  let gone = 0
  const link = connectBalancer(path, {
    onMessage: (message) => messages.push(message),
    onGone() {
      gone += 1
    },
  })
  closers.push(() => link.close())
  link.publish(table(1))
  const secret = { service: 'db', user: 'u', password: 'p', database: 'postgres', tls: null }
  link.confide([secret])
  await until('it is told that no agent is there', () => gone === 1)
  const first = await openServer()
  await until('the table arrives', () => first.tables.length === 1)
  link.publish(table(2))
  await until('the next one too', () => first.tables.length === 2)
  first.server.tell({ type: 'hello', pid: 1, version: 2 })
  await until('it is greeted', () => messages.length === 1)
  first.server.close()
  await until('it is told of the loss', () => gone === 2)
  const second = await openServer()
  await until('the newest table arrives again', () => second.tables.length === 1)
  expect(second.tables).toEqual([table(2)])
  expect([first.secrets, second.secrets], 'secrets come before the table').toEqual([
    [[secret], 0],
    [[secret], 0],
  ])
  link.drainAndExit()
  await until('the order arrives', () => second.drains === 1)
})

test('several agents are all told, and one that talks nonsense is sent away alone', async () => {
  const server = await openServer()
  const heard: [FromBalancer[], FromBalancer[]] = [[], []]
  for (const list of heard) {
    const link = connectBalancer(path, { onMessage: (message) => list.push(message), onGone() {} })
    closers.push(() => link.close())
  }
  await until('both are there', () => server.connections === 2)
  const stranger = connect(path)
  let sentAway = false
  stranger.on('close', () => {
    sentAway = true
  })
  stranger.on('error', () => {}) // being sent away is the point
  stranger.write('GET / HTTP/1.1\r\n\r\n')
  await until('it is sent away', () => sentAway)
  server.server.tell({ type: 'hello', pid: 1, version: 0 })
  await until('both hear', () => heard.every((list) => list.length === 1))
})

test('a path left by a dead balancer is taken over, that of a live one is not', async () => {
  const leftover = createServer()
  await new Promise<void>((resolve) => leftover.listen(path, resolve))
  await expect(openServer()).rejects.toMatchObject({ code: 'EADDRINUSE' })
  // A process that is killed leaves the name behind; closing through Node would remove it.
  await new Promise((resolve) => leftover.close(resolve))

  spawnSync(process.execPath, [
    '-e',
    `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`,
  ])
  expect(existsSync(path)).toBe(true)
  await openServer()
})

test('balancer and agent of two versions: a hello that says what it is, one that does not, and orders of a later version', async () => {
  const server = await openServer()
  const heard: FromBalancer[] = []
  const strange: string[] = []
  const link = connectBalancer(path, {
    onMessage: (message) => heard.push(message),
    onGone() {},
    onNotUnderstood: (why) => strange.push(why),
  })
  closers.push(() => link.close())
  await until('it is there', () => server.connections === 1)
  const say = (message: object) => server.server.tell(message as FromBalancer)
  say({ type: 'hello', pid: 1, version: 0 })
  say({ type: 'from-the-future', pid: 1 })
  say({ type: 'hello', pid: 1, version: 0, program: { version: '1.2.3', protocol: 1 }, fromTheFuture: 1 })
  await until('both hellos are heard', () => heard.length === 2)
  expect(heard[1]).toMatchObject({ program: { version: '1.2.3', protocol: 1 } })
  expect(strange).toHaveLength(1)
  const other = connect(path)
  closers.push(() => other.destroy())
  other.write(
    `${JSON.stringify({ type: 'from-the-future' })}\n${JSON.stringify({ type: 'table', table: 1, later: 2 })}\n`,
  )
  await until('what is known is obeyed', () => server.tables.length === 1)
})
