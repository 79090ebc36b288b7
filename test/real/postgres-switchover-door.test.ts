/**
 * A switchover as clients see it: fifty of them write through the doors of all nodes, and none hears an error.
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
import { watchSlowness } from './slowness.ts'

const CLIENTS = 50
const running: TestCluster[] = []

afterEach(async () => {
  for (const cluster of running.splice(0)) await cluster.stop()
})

interface Told {
  errors: string[]
  commits: number
  /** The longest that one client waited between two commits. */
  longestGapMs: number
  /** The longest in which no commit came back. */
  longestSilenceMs: number
  lastCommitAt: number
}

/** Short transactions of two statements, until told to stop. */
async function work(client: pg.Client, id: number, told: Told, isOver: () => boolean): Promise<void> {
  let lastAt = clock.mono()
  while (!isOver()) {
    try {
      await client.query('begin')
      await client.query('update counters set n = n + 1 where id = $1', [id])
      await client.query('commit')
      told.commits += 1
      told.longestSilenceMs = Math.max(told.longestSilenceMs, clock.mono() - told.lastCommitAt)
      told.lastCommitAt = clock.mono()
      told.longestGapMs = Math.max(told.longestGapMs, clock.mono() - lastAt)
      lastAt = clock.mono()
    } catch (error) {
      told.errors.push(String((error as Error).message))
      return
    }
    await sleep(clock, 20)
  }
}

/** The primary after it. One that is called off interrupts no client, and is asked for again. */
async function moved(cluster: TestCluster): Promise<string> {
  for (;;) {
    const outcome = await (await askSwitchover(cluster, 'db')).outcome
    if ('to' in outcome) return outcome.to
    console.log(`called off: ${outcome.calledOff}`)
  }
}

test('fifty clients write through a switchover: no error, nothing lost, and the receipt says what became of them', async () => {
  const cluster = await startCluster(() => ({
    db: postgres({
      ...anyPostgres,
      instances: 3,
      listen: 5432,
      database: { name: 'shop', owner: 'shop', password: 'first' },
      settings: { shared_buffers: '16MB', max_connections: 80 },
    }),
  }))
  running.push(cluster)
  const whole = () =>
    cluster.until(
      'a primary and two standbys, all of them well',
      (status) => serviceOf(status, 'db').instances.filter(({ healthy }) => healthy).length === 3,
      60_000,
    )
  await whole()
  const clients: pg.Client[] = []
  for (let index = 0; index < CLIENTS; index += 1) {
    const host = cluster.spec.nodes[index % 3]?.address ?? ''
    const client = new pg.Client({ host, port: 5432, user: 'shop', password: 'first', database: 'shop' })
    client.on('error', () => {}) // the call that waits for an answer rejects with it
    await client.connect()
    clients.push(client)
  }
  await clients[0]?.query('create table counters as select id, 0 as n from generate_series(1, 50) id')
  const told: Told = { errors: [], commits: 0, longestGapMs: 0, longestSilenceMs: 0, lastCommitAt: clock.mono() }
  let over = false
  const all = clients.map((client, index) => work(client, index + 1, told, () => over))
  await sleep(clock, 1_000)
  told.longestGapMs = 0
  told.longestSilenceMs = 0
  const slowness = watchSlowness()
  const from = (await cluster.service('db')).primary
  const to = await moved(cluster)
  const receipt = await until({ clock, everyMs: 50, withinMs: 30_000, what: 'its receipt' }, async () => {
    return (await cluster.local.client.receipts()).find(({ kind }) => kind === 'switchover')
  })
  over = true
  await Promise.all(all)
  const slowMs = await slowness.ms()
  console.log(
    `switchover: no commit for ${Math.round(told.longestSilenceMs)} ms, one client waited ${Math.round(told.longestGapMs)} ms (the machine was ${Math.round(slowMs)} ms slow), ` +
      `${told.errors.length} errors: ${[...new Set(told.errors)].join('; ')}\n${JSON.stringify(receipt, null, 1)}`,
  )
  expect(told.errors).toEqual([])
  const sum = await clients[1]?.query('select sum(n)::int as n from counters')
  expect(sum?.rows[0].n).toBe(told.commits)
  // A door that has said nothing after two seconds is named in it, and then its sessions are not counted.
  expect(receipt).toMatchObject({ service: 'db', from, to, sessions: { cut: {} } })
  await Promise.all(clients.map((client) => client.end()))
}, 240_000)
