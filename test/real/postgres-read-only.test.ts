/**
 * Two of three nodes are lost: no write can be acknowledged, and every client is told why. Reads go on through the door of
 * the node that is left, writes are refused with 25006, `why` says what to do; one node back, and all goes on by itself.
 *
 * Exercises: api, balancer, client, drivers/postgres, local, stores. Engines: postgresql.
 */
import { readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { afterEach, expect, test } from 'vitest'
import type { ServiceStatus } from '../../src/api/api-types.ts'
import { postgres } from '../../src/config/define.ts'
import { systemClock as clock } from '../../src/lib/clock.ts'
import { until } from '../../src/lib/until.ts'
import { serviceOf, startCluster, type TestCluster } from './cluster.ts'
import { anyPostgres } from './engines.ts'
import { BalancerWriter } from './postgres-writer.ts'

const LISTEN = 5432
const running: TestCluster[] = []
const writers: BalancerWriter[] = []

afterEach(async () => {
  for (const cluster of running.splice(0)) await cluster.stop()
  for (const writer of writers.splice(0)) await writer.stop() // a write that waits for its quorum ends with its server
})

for (const lost of ['the primary and a standby', 'both standbys'] as const) {
  test(`${lost} are lost: reads go on, writes get 25006, and it ends by itself`, async () => {
    const cluster = await begin()
    const primary = (await cluster.service('db')).primary ?? ''
    const others = ['a', 'b', 'c'].filter((node) => node !== primary)
    const stays = lost === 'both standbys' ? primary : (others[0] ?? '')
    const host = cluster.spec.nodes.find(({ name }) => name === stays)?.address ?? ''
    const target = { host, port: LISTEN, user: 'shop', password: 'first', database: 'shop' }
    const writer = new BalancerWriter(target)
    writers.push(writer)
    await writer.begin()
    await writer.untilAcknowledged(50)
    const gone = ['a', 'b', 'c'].filter((node) => node !== stays)
    await Promise.all(gone.map((node) => loseNode(cluster, node)))

    const isReadOnly = ({ readOnly, why }: ServiceStatus) =>
      readOnly !== null && /^db is read-only: .* serves reads\. Writes resume when . or . returns/.test(why)
    const status = await cluster.until('it is read-only, and why', (now) => isReadOnly(serviceOf(now, 'db')), 30_000)
    expect(serviceOf(status, 'db')).toMatchObject({ healthy: false })
    const { problems, now } = await cluster.local.client.why('db')
    expect(problems.map(({ rule }) => rule)).toContain('read-only')
    expect(now).toMatch(/is read-only/)

    const acknowledged = [...writer.acknowledged]
    const refused = await untilRefused(target)
    expect(refused.code).toBe('25006')
    const { rows } = await ask(target, 'select id::int from ledger')
    // One of two standbys had each row: the one that is left may have been behind, and lacks nothing in the middle.
    const there = rows.map(({ id }) => id as number)
    const expected = stays === primary ? acknowledged : acknowledged.filter((id) => id <= Math.max(...there))
    expect(expected.filter((id) => !there.includes(id))).toEqual([])
    expect(writer.acknowledged).toEqual(acknowledged)

    const back = gone.find((node) => node !== primary) ?? ''
    cluster.local.startNode(back)
    await writer.untilAcknowledged(50, 60_000)
    await cluster.until('it says that it takes writes', (now) => serviceOf(now, 'db').readOnly === null, 30_000)
    console.log(`${lost} lost: the writer was told ${writer.told()}`)
    expect(await writer.lost()).toEqual([])
  }, 120_000)
}

async function begin(): Promise<TestCluster> {
  const cluster = await startCluster(() => ({
    db: postgres({
      ...anyPostgres,
      instances: 3,
      listen: LISTEN,
      database: { name: 'shop', owner: 'shop', password: 'first' },
      settings: { shared_buffers: '16MB', max_connections: 40 },
    }),
  }))
  running.push(cluster)
  const isWhole = (status: Awaited<ReturnType<TestCluster['status']>>) =>
    serviceOf(status, 'db').healthy && serviceOf(status, 'db').instances.filter(({ healthy }) => healthy).length === 3
  await cluster.until('a primary and two standbys, all of them well', isWhole, 40_000)
  return cluster
}

/** The server's own word. A write that comes a moment too early waits for its quorum, and is given up here. */
function untilRefused(target: object): Promise<{ code?: string }> {
  return until({ clock, everyMs: 50, withinMs: 30_000, what: 'a write that is refused' }, async () => {
    const error = await ask(target, 'insert into ledger (id) values (-1)').then(
      () => undefined,
      (refusal: { code?: string }) => refusal,
    )
    return error?.code ? error : null
  })
}

async function ask(target: object, text: string): Promise<pg.QueryResult> {
  const client = new pg.Client({ ...target, connectionTimeoutMillis: 10_000, query_timeout: 2_000 })
  client.on('error', () => {}) // the call that waits for an answer rejects with it
  try {
    await client.connect()
    return await client.query(text)
  } finally {
    client.end().catch(() => {}) // it may be broken already
  }
}

/** A node that loses its power loses all of it: the server's own processes, too. */
async function loseNode(cluster: TestCluster, node: string): Promise<void> {
  const left = serversOf(cluster, node)
  await cluster.local.killNode(node)
  for (const pid of left) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended meanwhile.
    }
  }
}

function serversOf(cluster: TestCluster, node: string): number[] {
  const data = join(cluster.stateDir, 'nodes', node, 'instances', 'db', 'data')
  return readdirSync('/proc').flatMap((name) => {
    try {
      return /^\d+$/.test(name) && readlinkSync(`/proc/${name}/cwd`) === data ? [Number(name)] : []
    } catch {
      return [] // it ended meanwhile
    }
  })
}
