/**
 * A handover costs every session a login, and all of them at once. So doors log their sessions in at the next primary while
 * the old one still serves them. Here the table is written by the test; postgres-switchover-door.test.ts has the whole cluster.
 *
 * Exercises: balancer, drivers/postgres. Engines: postgresql.
 */
import type pg from 'pg'
import { afterEach, expect, test } from 'vitest'
import type { TestDoor } from '../support/door.ts'
import type { Trio } from './postgres-trio.ts'
import { beginTrioDoor, clientOf, endTrioDoors, PRIMARY, targetOf } from './trio-door.ts'

const CLIENTS = 12

afterEach(endTrioDoors)

interface Place {
  readonly t: Trio
  readonly door: TestDoor
  readonly sessions: readonly pg.Client[]
}

/** Twelve sessions at a, each with a setting and a prepared statement of its own. */
async function begin(): Promise<Place> {
  const { trio: t, door } = await beginTrioDoor()
  const sessions = await Promise.all(
    Array.from({ length: CLIENTS }, async (_, id) => {
      const client = await enter(door)
      await client.query(`set my.name = 'session ${id}'`)
      await client.query('prepare mine as select $1::int + 1 as it')
      return client
    }),
  )
  return { t, door, sessions }
}

const next = (t: Trio, node: string) => targetOf(t, node, 0, { state: 'draining', next: true })
const leaving = (t: Trio, node: string) => targetOf(t, node, 1, { state: 'draining', leaves: true })

async function pidsAt(t: Trio, node: string): Promise<string[]> {
  const rows = await t.rows(node, "select pid::text from pg_stat_activity where usename = 'app' order by pid")
  return rows.map(({ pid }) => String(pid))
}

const allAreAt = (t: Trio, node: string, count = CLIENTS) =>
  t.until(`all sessions at ${node}`, async () => (await pidsAt(t, node)).length === count)

async function enter(door: TestDoor): Promise<pg.Client> {
  const client = clientOf(door)
  await client.connect()
  return client
}

/** a ends, `node` leads in term 2, and c follows it. */
async function switchOver(t: Trio, node: 'b' | 'c'): Promise<void> {
  await t.driver('a').demote(2)
  const other = node === 'b' ? 'c' : 'b'
  await Promise.all([node, other].map((each) => t.driver(each).recruit(2)))
  await t.enact(t.quorum(2, node, { standbys: [other] }), other)
}

async function expectWhole(sessions: readonly pg.Client[]): Promise<void> {
  for (const [id, session] of sessions.entries()) {
    const named = await session.query("select current_setting('my.name') as it")
    expect(named.rows).toEqual([{ it: `session ${id}` }])
    expect((await session.query('execute mine(41)')).rows).toEqual([{ it: 42 }])
  }
}

test('sessions log in at the next primary while their own serves them, and go on there on those very connections', async () => {
  const { t, door, sessions } = await begin()
  const [first] = sessions
  await first?.query('begin') // a transaction is no obstacle to a login elsewhere
  const plain = await enter(door)
  const told: string[] = []
  ;(plain as unknown as { connection: NodeJS.EventEmitter }).connection.on(
    'parameterStatus',
    ({ parameterName, parameterValue }) => told.push(`${parameterName} ${parameterValue}`),
  )
  door.route([targetOf(t, 'a', 1), next(t, 'b')], PRIMARY)
  await allAreAt(t, 'b', CLIENTS + 1)
  await t.until('the door says so', () => door.ahead().includes('db@b'))
  const before = await pidsAt(t, 'b')
  await first?.query('commit')
  await expectWhole(sessions) // at a, as if nothing were
  door.route([leaving(t, 'a'), next(t, 'b')], PRIMARY)
  await t.until('nobody at a', async () => (await pidsAt(t, 'a')).length === 0)
  const held = sessions.map((session) => session.query('select pg_is_in_recovery() as it'))
  await switchOver(t, 'b')
  door.route([targetOf(t, 'b', 2)], PRIMARY)
  for (const { rows } of await Promise.all(held)) expect(rows).toEqual([{ it: false }])
  await expectWhole(sessions)
  await plain.query('select 1')
  expect(told).toEqual([]) // not that it was a standby, when it is none any more
  expect(await pidsAt(t, 'b')).toEqual(before)
  await t.until('the door says nothing of it any more', () => door.ahead().length === 0)
})

test('a switchover that is called off leaves no session behind at the requested successor', async () => {
  const { t, door, sessions } = await begin()
  door.route([targetOf(t, 'a', 1), next(t, 'b')], PRIMARY)
  await allAreAt(t, 'b')
  door.route([targetOf(t, 'a', 1)], PRIMARY)
  await t.until('nobody at b', async () => (await pidsAt(t, 'b')).length === 0)
  await expectWhole(sessions)
  door.route([targetOf(t, 'a', 1), next(t, 'c')], PRIMARY)
  await allAreAt(t, 'c')
  const [one, ...others] = sessions
  await one?.end()
  await t.until('its login goes with it', async () => (await pidsAt(t, 'c')).length === CLIENTS - 1)
  await expectWholeBut(others)
})

async function expectWholeBut(others: readonly pg.Client[]): Promise<void> {
  for (const session of others) expect((await session.query('execute mine(1)')).rows).toEqual([{ it: 2 }])
}

test.each(['dies', 'lives'])(
  'who was to lead %s, and another one does: the sessions log in there instead',
  async (fate) => {
    const { t, door, sessions } = await begin()
    door.route([targetOf(t, 'a', 1), next(t, 'b')], PRIMARY)
    await allAreAt(t, 'b')
    door.route([leaving(t, 'a'), next(t, 'b')], PRIMARY)
    await t.until('nobody at a', async () => (await pidsAt(t, 'a')).length === 0)
    if (fate === 'dies') await t.driver('b').kill()
    await switchOver(t, 'c')
    door.route([targetOf(t, 'c', 2)], PRIMARY)
    await expectWhole(sessions)
    expect(await pidsAt(t, 'c')).toHaveLength(CLIENTS)
    await t.until('nobody at b', async () => fate === 'dies' || (await pidsAt(t, 'b')).length === 0)
  },
)

test('a session that cannot be logged in ahead is logged in afterwards, and holds no other up', async () => {
  const { t, door, sessions } = await begin()
  const crowd = await Promise.all(Array.from({ length: 26 }, () => t.connect('b')))
  door.route([targetOf(t, 'a', 1), next(t, 'b')], PRIMARY)
  await t.until('the door says that it is ready', () => door.ahead().includes('db@b'))
  expect((await pidsAt(t, 'b')).length).toBeLessThan(CLIENTS)
  await Promise.all(crowd.map((client) => client.end()))
  door.route([leaving(t, 'a'), next(t, 'b')], PRIMARY)
  await switchOver(t, 'b')
  door.route([targetOf(t, 'b', 2)], PRIMARY)
  await expectWhole(sessions)
})
