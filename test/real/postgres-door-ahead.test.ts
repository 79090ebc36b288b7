/**
 * A handover costs every session a login, and all of them at once. So doors log their sessions in at the next primary while
 * the old one still serves them. Here the table is written by the test; postgres-switchover-door.test.ts has the whole cluster.
 *
 * Exercises: balancer, drivers/postgres. Engines: postgresql.
 */
import type pg from 'pg'
import { afterEach, expect, test } from 'vitest'
import type { TestBalancer } from '../support/door.ts'
import type { Trio } from './postgres-trio.ts'
import { beginTrioBalancer, clientOf, endTrioBalancers, PRIMARY, targetOf } from './trio-door.ts'

const CLIENTS = 12

afterEach(endTrioBalancers)

interface Place {
  readonly t: Trio
  readonly balancer: TestBalancer
  readonly sessions: readonly pg.Client[]
}

/** Twelve sessions at a, each with a setting and a prepared statement of its own. */
async function begin(): Promise<Place> {
  const { trio: t, balancer } = await beginTrioBalancer()
  const sessions = await Promise.all(
    Array.from({ length: CLIENTS }, async (_, id) => {
      const client = await enter(balancer)
      await client.query(`set my.name = 'session ${id}'`)
      await client.query('prepare mine as select $1::int + 1 as it')
      return client
    }),
  )
  return { t, balancer, sessions }
}

const next = (t: Trio, node: string) => targetOf(t, node, 0, { state: 'draining', next: true })
const leaving = (t: Trio, node: string) => targetOf(t, node, 1, { state: 'draining', leaves: true })

async function pidsAt(t: Trio, node: string): Promise<string[]> {
  const rows = await t.rows(node, "select pid::text from pg_stat_activity where usename = 'app' order by pid")
  return rows.map(({ pid }) => String(pid))
}

const allAreAt = (t: Trio, node: string, count = CLIENTS) =>
  t.until(`all sessions at ${node}`, async () => (await pidsAt(t, node)).length === count)

async function enter(balancer: TestBalancer): Promise<pg.Client> {
  const client = clientOf(balancer)
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
  const { t, balancer, sessions } = await begin()
  const [first] = sessions
  await first?.query('begin') // a transaction is no obstacle to a login elsewhere
  const plain = await enter(balancer)
  const told: string[] = []
  ;(plain as unknown as { connection: NodeJS.EventEmitter }).connection.on(
    'parameterStatus',
    ({ parameterName, parameterValue }) => told.push(`${parameterName} ${parameterValue}`),
  )
  balancer.route([targetOf(t, 'a', 1), next(t, 'b')], PRIMARY)
  await allAreAt(t, 'b', CLIENTS + 1)
  await t.until('the door says so', () => balancer.ahead().includes('db@b'))
  const before = await pidsAt(t, 'b')
  await first?.query('commit')
  await expectWhole(sessions) // at a, as if nothing were
  balancer.route([leaving(t, 'a'), next(t, 'b')], PRIMARY)
  await t.until('no session at a', async () => (await pidsAt(t, 'a')).length === 0)
  const held = sessions.map((session) => session.query('select pg_is_in_recovery() as it'))
  await switchOver(t, 'b')
  balancer.route([targetOf(t, 'b', 2)], PRIMARY)
  for (const { rows } of await Promise.all(held)) expect(rows).toEqual([{ it: false }])
  await expectWhole(sessions)
  await plain.query('select 1')
  expect(told).toEqual([]) // not that it was a standby, when it is none any more
  expect(await pidsAt(t, 'b')).toEqual(before)
  await t.until('the door says nothing of it any more', () => balancer.ahead().length === 0)
})

test('a switchover that is called off leaves no session behind at the requested successor', async () => {
  const { t, balancer, sessions } = await begin()
  balancer.route([targetOf(t, 'a', 1), next(t, 'b')], PRIMARY)
  await allAreAt(t, 'b')
  balancer.route([targetOf(t, 'a', 1)], PRIMARY)
  await t.until('no session at b', async () => (await pidsAt(t, 'b')).length === 0)
  await expectWhole(sessions)
  balancer.route([targetOf(t, 'a', 1), next(t, 'c')], PRIMARY)
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
    const { t, balancer, sessions } = await begin()
    balancer.route([targetOf(t, 'a', 1), next(t, 'b')], PRIMARY)
    await allAreAt(t, 'b')
    balancer.route([leaving(t, 'a'), next(t, 'b')], PRIMARY)
    await t.until('no session at a', async () => (await pidsAt(t, 'a')).length === 0)
    if (fate === 'dies') await t.driver('b').kill()
    await switchOver(t, 'c')
    balancer.route([targetOf(t, 'c', 2)], PRIMARY)
    await expectWhole(sessions)
    expect(await pidsAt(t, 'c')).toHaveLength(CLIENTS)
    await t.until('no session at b', async () => fate === 'dies' || (await pidsAt(t, 'b')).length === 0)
  },
)

test('a session that cannot be logged in ahead is logged in afterwards, and holds no other up', async () => {
  const { t, balancer, sessions } = await begin()
  const crowd = await Promise.all(Array.from({ length: 26 }, () => t.connect('b')))
  balancer.route([targetOf(t, 'a', 1), next(t, 'b')], PRIMARY)
  await t.until('the door says that it is ready', () => balancer.ahead().includes('db@b'))
  expect((await pidsAt(t, 'b')).length).toBeLessThan(CLIENTS)
  await Promise.all(crowd.map((client) => client.end()))
  balancer.route([leaving(t, 'a'), next(t, 'b')], PRIMARY)
  await switchOver(t, 'b')
  balancer.route([targetOf(t, 'b', 2)], PRIMARY)
  await expectWhole(sessions)
})
