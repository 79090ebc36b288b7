/**
 * Healthy is not redundant: one of three replicas is lost, clients are served, and every place that says how it stands says that
 * something is missing. Then a primary whose data is removed: it is told as what it is, and not over and over.
 *
 * Exercises: agent, api, balancer, cli, client, core, drivers/postgres, drivers/process, local, stores. Engines: postgresql.
 */
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { fakeIo } from '../../src/cli/fake-io.ts'
import { run } from '../../src/cli/program.ts'
import type { Status } from '../../src/client/index.ts'
import { postgres } from '../../src/config/define.ts'
import { serviceOf, startCluster, type TestCluster } from './cluster.ts'
import { anyPostgres } from './engines.ts'
import { BalancerWriter } from './postgres-writer.ts'

const running: TestCluster[] = []
const writers: BalancerWriter[] = []

afterEach(async () => {
  for (const writer of writers.splice(0)) await writer.stop()
  for (const cluster of running.splice(0)) await cluster.stop()
})

const isRedundant = (status: Status) => serviceOf(status, 'db').redundancyState.state === 'redundant'

async function begin(): Promise<TestCluster> {
  const cluster = await startCluster(() => ({
    db: postgres({
      ...anyPostgres,
      instances: 3,
      listen: 5432,
      database: { name: 'shop', owner: 'shop', password: 'first' },
      settings: { shared_buffers: '16MB', max_connections: 40 },
    }),
  }))
  running.push(cluster)
  await cluster.until('all replicas are there', isRedundant, 120_000)
  return cluster
}

async function typed(cluster: TestCluster, line: string) {
  const io = fakeIo({ cwd: cluster.stateDir })
  const code = await run([...line.split(' '), '--state', cluster.stateDir], io)
  return { code, text: io.text() }
}

async function metrics(cluster: TestCluster, node: string): Promise<string> {
  const host = cluster.spec.nodes.find(({ name }) => name === node)?.address
  const headers = { authorization: `Bearer ${readFileSync(cluster.local.state.tokenFile, 'utf8').trim()}` }
  return (await fetch(`http://${host}:${cluster.spec.apiPort}/metrics`, { headers })).text()
}

test('with a replica out, headline, exit code, API, metrics and an event say that it is degraded and why', async () => {
  const cluster = await begin()
  expect((await typed(cluster, 'status --exit-code')).code).toBe(0)
  const standbys = (status: Status) => serviceOf(status, 'db').instances.filter(({ role }) => role === 'standby')
  const gone = standbys(await cluster.status())[0]?.node ?? ''
  const left = ['a', 'b', 'c'].find((node) => node !== gone) ?? ''
  await cluster.local.killNode(gone)

  const isDegraded = (status: Status) => serviceOf(status, 'db').redundancyState.state === 'degraded'
  const status = await cluster.until('it is degraded', isDegraded, 60_000)
  expect(serviceOf(status, 'db')).toMatchObject({
    healthy: true,
    redundancyState: { wanted: 3, there: 2, oneMoreLoss: 'stops-writes', missing: [{ what: 'replica', node: gone }] },
    expectedRto: { ifPrimaryDiesMs: null },
  })
  const { code, text } = await typed(cluster, 'status --exit-code')
  expect(code).toBe(11)
  expect(text).toMatch(
    new RegExp(`^test  degraded: db \\(2 of 3 replicas, one more loss stops writes; ${gone}: it is (silent|lost): `),
  )
  expect(await metrics(cluster, left)).toContain('understudy_service_redundancy{service="db",state="degraded"} 1')
  const told = async () => (await cluster.local.client.events()).filter(({ rule }) => rule === 'redundancy')
  await expect
    .poll(async () => (await told()).at(-1)?.why ?? '', { timeout: 30_000 })
    .toMatch(/^db is degraded: 2 of 3/)
  expect((await told()).filter(({ why }) => why.startsWith('db is degraded: 2 of 3'))).toHaveLength(1)

  cluster.local.startNode(gone)
  await cluster.until('it is redundant again', isRedundant, 120_000)
  await expect
    .poll(async () => (await told()).at(-1)?.why, { timeout: 30_000 })
    .toBe('db is redundant: 3 of 3 replicas')
}, 300_000)

test('a primary whose data is removed under load is replaced without a false alarm, and no acknowledged row is lost', async () => {
  const cluster = await begin()
  const { primary } = await cluster.service('db')
  const host = cluster.spec.nodes.find(({ name }) => name !== primary)?.address ?? ''
  const writer = new BalancerWriter({ host, port: 5432, user: 'shop', password: 'first', database: 'shop' })
  writers.push(writer)
  await writer.begin()
  await writer.untilAcknowledged(50)
  const since = (await cluster.local.client.events()).at(-1)?.id
  rmSync(join(cluster.stateDir, 'nodes', primary ?? '', 'instances', 'db', 'data'), { recursive: true, force: true })
  const isMoved = (status: Status) => {
    const { healthy, primary: now } = serviceOf(status, 'db')
    return healthy && now !== null && now !== primary
  }
  await cluster.until('another node is the primary', isMoved, 120_000)
  await cluster.until('the former primary has a copy again', isRedundant, 180_000)
  const events = await cluster.local.client.events()
  const after = events.slice(events.findIndex(({ id }) => id === since) + 1)
  const alarms = after.filter(({ rule }) => rule === 'two-writers')
  expect(alarms.map(({ why }) => why)).toEqual([])
  expect(await writer.lost()).toEqual([])
}, 400_000)
