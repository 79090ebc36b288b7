/**
 * The front door of a PostgreSQL service, in front of real servers: what a client sees of it when nothing happens, and what
 * becomes of its session when its server is killed, leaves, or must not be used any more. The table is written by the test, so
 * that each case is the one that is meant; postgres-cluster.test.ts has the whole cluster.
 */
import { existsSync } from 'node:fs'
import pg from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import type { Route, Target } from '../../src/core/routing.ts'
import { closeAll, openDoor, type TestDoor } from '../support/door.ts'
import { Trio } from './postgres-trio.ts'

const APP = { user: 'app', password: 'a secret of the application', database: 'postgres' }
const PRIMARY: Partial<Route> = {
  service: 'db',
  protocol: 'postgres',
  purpose: 'primary',
  holdMs: 20_000,
  probe: { path: null, everyMs: 100, timeoutMs: 500 },
}

let trio: Trio | undefined
const clients: pg.Client[] = []

afterEach(async () => {
  for (const client of clients.splice(0)) client.end().catch(() => {}) // its door may be closed
  closeAll()
  await trio?.end()
  trio = undefined
})

interface Place {
  readonly trio: Trio
  readonly door: TestDoor
}

async function begin(bin: string | null, nodes: readonly string[] = ['a', 'b', 'c']): Promise<Place> {
  trio = new Trio({ bin, nodes })
  const t = trio
  await t.begin()
  await t.rows('a', `create role app login password '${APP.password}'; grant create on schema public to app`)
  await t.until('the login of the doors is there', async () => {
    return (await t.rows('a', "select 1 from pg_roles where rolname = 'understudy_door'")).length === 1
  })
  const secret = { ...t.doorLogin(), service: 'db', tls: null }
  return { trio: t, door: await openDoor([targetOf(t, 'a', 1)], PRIMARY, secret) }
}

function targetOf(t: Trio, node: string, term: number, change: Partial<Target> = {}): Target {
  const { host, port } = t.address(node)
  return { id: `db@${node}:${t.observe(node).pid}`, node, host, port, state: 'serving', term, ...change }
}

async function connect({ door }: Place, change: pg.ClientConfig = {}): Promise<pg.Client> {
  const client = new pg.Client({ host: '127.0.0.1', port: door.port, ...APP, ...change })
  client.on('error', () => {}) // whoever waits for an answer hears of it there
  clients.push(client)
  await client.connect()
  return client
}

/** Kills the postmaster of a, lets b lead in term 2, and tells the door. */
async function failOver({ trio: t, door }: Place): Promise<void> {
  process.kill(t.observe('a').pid, 'SIGKILL')
  await t.until('the end is seen', () => t.observe('a').state === 'stopped')
  await Promise.all(['b', 'c'].map((node) => t.driver(node).fence(2)))
  const log = (node: string) => BigInt(t.observe(node).replica.position?.log ?? '0')
  const [next = 'b', other = 'c'] = log('b') >= log('c') ? ['b', 'c'] : ['c', 'b']
  const rule = t.rule(2, next)
  await Promise.all([t.driver(next).lead(rule), t.driver(other).follow(rule, t.address(next))])
  door.route([targetOf(t, next, 2)], PRIMARY)
}

/** Kills the postmaster of a lone server and starts it again, as an agent does when that is the quickest way back. */
async function restart({ trio: t, door }: Place): Promise<void> {
  process.kill(t.observe('a').pid, 'SIGKILL')
  await t.until('the end is seen', () => t.observe('a').state === 'stopped')
  await t.driver('a').lead(t.rule(1, 'a'))
  door.route([targetOf(t, 'a', 1)], PRIMARY)
}

const system = existsSync('/usr/lib/postgresql')
const versions = [...(system ? [{ bin: null, name: 'of the system' }] : []), { bin: 'npm', name: 'of the package' }]

/** All that a session can have and take with it. Returns a look at it, to be taken after its server has gone. */
async function furnish(client: pg.Client): Promise<() => Promise<void>> {
  const told: string[] = []
  client.on('notice', ({ message }) => told.push(message ?? ''))
  await client.query('create table kept (id int)')
  await client.query("set work_mem = '7MB'")
  await client.query("select set_config('app.tenant', $1, false)", ['t-7'])
  await client.query('prepare twice (int) as select $1 * 2 as n')
  await client.query('listen news')
  const named = { name: 'thrice', text: 'select $1::int * 3 as n' }
  expect((await client.query(named, [2])).rows).toEqual([{ n: 6 }])
  return async () => {
    await client.query('insert into kept values (1)')
    expect((await client.query('show work_mem')).rows).toEqual([{ work_mem: '7MB' }])
    expect((await client.query("select current_setting('app.tenant') as t")).rows).toEqual([{ t: 't-7' }])
    expect((await client.query('execute twice(4)')).rows).toEqual([{ n: 8 }])
    expect((await client.query(named, [3])).rows).toEqual([{ n: 9 }])
    const heard = new Promise((resolve) => client.once('notification', resolve))
    await client.query("notify news, 'fresh'")
    expect(await heard).toMatchObject({ channel: 'news', payload: 'fresh' })
    expect(told.filter((message) => !message.startsWith('held'))).toEqual([])
  }
}

describe.each(versions)('PostgreSQL $name', ({ bin }) => {
  test('the primary is killed, another one leads: an idle session goes on with all that it had', async () => {
    const place = await begin(bin)
    const look = await furnish(await connect(place))
    await failOver(place)
    await look()
    await place.trio.until('it is told', () => place.door.sessions.length === 1)
    expect(place.door.sessions).toMatchObject([{ service: 'db', term: 2, held: 1, moved: 1, cut: {} }])
  })

  test('the server is killed and started again: sessions that can go on do, the others are cut and told why', async () => {
    const place = await begin(bin, ['a'])
    const look = await furnish(await connect(place))
    await restart(place)
    await look()
  })
})
