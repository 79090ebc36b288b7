/**
 * A switchover that is called off, as clients see it: each goes on in the very session that it had, on the same server.
 *
 * Exercises: api, balancer, client, drivers/postgres, local, stores. Engines: postgresql.
 */
import pg from 'pg'
import { afterEach, expect, test } from 'vitest'
import { postgres } from '../../src/config/define.ts'
import { systemClock as clock, sleep } from '../../src/lib/clock.ts'
import { until } from '../../src/lib/until.ts'
import { askSwitchover, serviceOf, startCluster, type TestCluster } from './cluster.ts'
import { anyPostgres } from './engines.ts'

const running: TestCluster[] = []
const clients: pg.Client[] = []

afterEach(async () => {
  for (const client of clients.splice(0)) client.end().catch(() => {}) // its balancer may have ended
  for (const cluster of running.splice(0)) await cluster.stop()
})

async function begin(): Promise<TestCluster> {
  const cluster = await startCluster(() => ({
    db: postgres({
      ...anyPostgres,
      instances: 3,
      listen: 5432,
      database: { name: 'shop', owner: 'shop', password: 'first' },
      settings: { shared_buffers: '16MB', max_connections: 60 },
    }),
  }))
  running.push(cluster)
  await whole(cluster)
  return cluster
}

const whole = (cluster: TestCluster) =>
  cluster.until(
    'a primary and two standbys, all of them healthy',
    (status) => serviceOf(status, 'db').instances.filter(({ healthy }) => healthy).length === 3,
    60_000,
  )

interface Session {
  readonly client: pg.Client
  readonly errors: string[]
  /** Of its server's process. */
  pid(): Promise<number>
}

/** Through the balancer of one of the nodes. */
async function enter(cluster: TestCluster, nth: number): Promise<Session> {
  const host = cluster.spec.nodes[nth % 3]?.address ?? ''
  const client = new pg.Client({ host, port: 5432, user: 'shop', password: 'first', database: 'shop' })
  const errors: string[] = []
  client.on('error', (error) => errors.push(error.message))
  clients.push(client)
  await client.connect()
  return { client, errors, pid: async () => (await client.query('select pg_backend_pid() as pid')).rows[0].pid }
}

/**
 * Transactions through the balancers that overlap: each begins before the one before it ends. So one is always open, also at the
 * end of each hold, because the next cannot begin in it. `longestBeginMs`: how long one had to wait before it could begin.
 */
async function overlap(cluster: TestCluster, isOver: () => boolean): Promise<{ longestBeginMs: number }> {
  const [one, other] = [await enter(cluster, 1), await enter(cluster, 2)]
  let [open, next] = [one, other]
  let longestBeginMs = 0
  await open.client.query('begin; select 1')
  while (!isOver()) {
    await sleep(clock, 100)
    const askedAt = clock.mono()
    await next.client.query('begin; select 1')
    longestBeginMs = Math.max(longestBeginMs, clock.mono() - askedAt)
    await open.client.query('commit')
    ;[open, next] = [next, open]
  }
  await open.client.query('commit')
  expect([...one.errors, ...other.errors]).toEqual([])
  return { longestBeginMs }
}

test('transactions that outlast each hold call it off: no session was closed or logged in anew, and the next one works', async () => {
  const cluster = await begin()
  const sessions = await Promise.all(Array.from({ length: 9 }, (_, nth) => enter(cluster, nth)))
  const [temporary, locked, worker] = sessions as [Session, Session, Session]
  await temporary.client.query('create temp table cart as select 41 as items')
  await locked.client.query('select pg_advisory_lock(12)')
  const pids = await Promise.all(sessions.map(({ pid }) => pid()))
  let isOver = false
  const overlapping = overlap(cluster, () => isOver)
  let answers = 0
  const working = (async () => {
    for (; !isOver; answers += 1) await worker.client.query('select 1')
  })()
  await until({ clock, everyMs: 5, withinMs: 10_000, what: 'some answers' }, () => answers > 20)
  const from = (await cluster.service('db')).primary
  const receipts = (await cluster.local.client.receipts()).length

  const outcome = await (await askSwitchover(cluster, 'db')).outcome
  const answersThen = answers
  await until({ clock, everyMs: 5, withinMs: 10_000, what: 'more answers' }, () => answers > answersThen + 20)
  isOver = true
  const { longestBeginMs } = await overlapping
  await working

  expect(outcome).toEqual({ calledOff: expect.stringMatching(/transactions? (is|are) still open after 1\.0 s/) })
  console.log(`a client was held for ${Math.round(longestBeginMs)} ms`)
  expect(longestBeginMs, 'clients were held').toBeGreaterThan(200)
  expect((await cluster.service('db')).primary).toBe(from)
  expect(await Promise.all(sessions.map(({ pid }) => pid()))).toEqual(pids)
  expect((await temporary.client.query('select items from cart')).rows).toEqual([{ items: 41 }])
  expect((await locked.client.query('select pg_advisory_unlock(12) as had')).rows).toEqual([{ had: true }])
  expect(sessions.flatMap(({ errors }) => errors)).toEqual([])
  expect(await cluster.local.client.receipts(), 'no change of primary').toHaveLength(receipts)

  const { outcome: second } = await askSwitchover(cluster, 'db')
  const done = await second
  expect(done).toEqual({ to: expect.any(String) })
  const receipt = await until({ clock, everyMs: 50, withinMs: 30_000, what: 'its receipt' }, async () => {
    return (await cluster.local.client.receipts()).find(({ kind }) => kind === 'switchover')
  })
  expect(receipt).toMatchObject({ rule: 'switchover-requested', from, sessions: { cut: { 'temporary-table': 1 } } })
  expect(temporary.errors.join()).toContain('terminating connection')
  const others = sessions.filter((one) => one !== temporary)
  for (const { client } of others)
    expect((await client.query('select pg_is_in_recovery() as it')).rows).toEqual([{ it: false }])
  expect(others.flatMap(({ errors }) => errors)).toEqual([])
}, 240_000)
