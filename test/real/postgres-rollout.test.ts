/**
 * The settings of a database change while it runs and is written to: settings up and down that standbys need at least as much of
 * as their primary, one that a reload brings, and a restart that was asked for. Nothing that was acknowledged is lost and no
 * client is told an error; also when the primary or an agent is killed in the middle.
 *
 * Exercises: agent, api, balancer, core, drivers/postgres, local, stores. Engines: postgresql.
 */
import { join } from 'node:path'
import pg from 'pg'
import { afterEach, expect, test } from 'vitest'
import { AgreedRecords, KEY } from '../../src/agent/agreed-records.ts'
import { nextRecord, writeConfig } from '../../src/agent/config-store.ts'
import type { Status } from '../../src/api/api-types.ts'
import { postgres } from '../../src/config/define.ts'
import type { ClusterSpec } from '../../src/core/model.ts'
import { systemClock as clock } from '../../src/lib/clock.ts'
import { identify, signal } from '../../src/lib/proc.ts'
import { until } from '../../src/lib/until.ts'
import { StateFolder } from '../../src/local/cluster-folder.ts'
import { listLeftovers } from '../../src/local/leftovers.ts'
import { openStore } from '../../src/stores/index.ts'
import type { Store } from '../../src/stores/store.ts'
import { serviceOf, startCluster, type TestCluster } from './cluster.ts'
import { anyPostgres } from './engines.ts'
import { BalancerWriter } from './postgres-writer.ts'

const LISTEN = 5432
const LOGIN = { user: 'shop', password: 'first', database: 'shop' }
const ROLLED_WITHIN_MS = 120_000
const running: TestCluster[] = []
const writers: BalancerWriter[] = []

afterEach(async () => {
  for (const cluster of running.splice(0)) await cluster.stop()
  for (const writer of writers.splice(0)) await writer.stop()
})

type Settings = Readonly<Record<string, string | number>>

const BASE: Settings = {
  shared_buffers: '16MB',
  max_connections: 40,
  max_worker_processes: 8,
  max_wal_senders: 12,
  max_prepared_transactions: 2,
  max_locks_per_transaction: 64,
}
const RAISED: Settings = {
  ...BASE,
  max_connections: 50,
  max_worker_processes: 10,
  max_wal_senders: 14,
  max_prepared_transactions: 4,
  max_locks_per_transaction: 80,
}

interface Rolling {
  readonly cluster: TestCluster
  readonly writer: BalancerWriter
}

async function begin(): Promise<Rolling> {
  const db = postgres({
    ...anyPostgres,
    instances: 3,
    listen: LISTEN,
    database: { name: 'shop', owner: 'shop', password: 'first' },
    settings: BASE,
    update: { pause: '300ms' },
  })
  const cluster = await startCluster(() => ({ db }))
  running.push(cluster)
  await cluster.until('three replicas', isWhole, 90_000)
  const writer = new BalancerWriter({ host: cluster.spec.nodes[0]?.address ?? '', port: LISTEN, ...LOGIN })
  writers.push(writer)
  await writer.begin()
  await writer.untilAcknowledged(20)
  return { cluster, writer }
}

function isWhole(status: Status): boolean {
  const { healthy, instances, quorum } = serviceOf(status, 'db')
  return healthy && quorum?.standbys.length === 2 && instances.filter((one) => one.healthy).length === 3
}

async function inStore<T>(cluster: TestCluster, work: (store: Store) => Promise<T>): Promise<T> {
  const store = await openStore({
    kind: 'embedded',
    path: join(cluster.stateDir, 'store.db'),
    clock,
    random: Math.random,
  })
  try {
    return await work(store)
  } finally {
    await store.close()
  }
}

type Options = Record<string, unknown>
type Changing = ClusterSpec & { services: ClusterSpec['services'] }

async function apply(cluster: TestCluster, change: (options: Options) => void): Promise<void> {
  await applySpec(cluster, ({ services }) => {
    for (const { options } of services) change(options as Options)
  })
}

/** As `apply` does it: another config by compare-and-swap. */
async function applySpec(cluster: TestCluster, change: (spec: Changing) => void): Promise<void> {
  await inStore(cluster, async (store) => {
    const agreed = new AgreedRecords()
    agreed.take(await store.read(''))
    const before = agreed.config
    if (!before) throw new Error('no config in the store')
    const spec = structuredClone(before.spec) as Changing
    change(spec)
    const who = { run: before.run, at: clock.wall(), by: 'test', message: '', version: 'test' }
    expect(await writeConfig(store, before, nextRecord(before, spec, who), null)).toBe('done')
  })
}

const set = (settings: Settings) => (options: Options) => {
  options.settings = settings
}

async function askRestart(cluster: TestCluster, restarts: number): Promise<void> {
  await inStore(cluster, async (store) => {
    const key = KEY.wish('db')
    const revision = (await store.read(key)).entries.get(key)?.revision ?? 0
    expect(await store.swap([{ key, revision }], [{ key, value: { restarts } }])).toBe('done')
  })
}

async function logsIn(cluster: TestCluster, password: string): Promise<boolean> {
  const client = new pg.Client({ host: cluster.spec.nodes[0]?.address ?? '', port: LISTEN, ...LOGIN, password })
  client.on('error', () => {}) // `connect` hears of it
  try {
    await client.connect()
    return true
  } catch (error) {
    expect((error as { code?: string }).code).toBe('28P01')
    return false
  } finally {
    await client.end().catch(() => {}) // it never connected
  }
}

/** What each server says, by its node; of one that does not answer, nothing. */
async function inForce(cluster: TestCluster, names: readonly string[]): Promise<Record<string, string>[]> {
  const hosts = new Map(cluster.spec.nodes.map(({ name, address }) => [name, address]))
  const { instances } = await cluster.service('db')
  return Promise.all(
    instances.map(async ({ node, port }) => {
      const client = new pg.Client({ host: hosts.get(node) ?? '', port: port ?? 0, ...LOGIN })
      client.on('error', () => {}) // the statement hears of it
      try {
        await client.connect()
        const list = names.map((name) => `current_setting('${name}') as ${name}`).join(', ')
        return (await client.query(`select ${list}`)).rows[0]
      } catch {
        return {} // it is being restarted
      } finally {
        await client.end().catch(() => {}) // it never connected
      }
    }),
  )
}

/** Until all three replicas run with these, and count again. */
async function untilInForce(cluster: TestCluster, settings: Settings): Promise<void> {
  const wanted = Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, String(value)]))
  const patience = { clock, everyMs: 200, withinMs: ROLLED_WITHIN_MS, what: JSON.stringify(wanted) }
  let last: unknown
  await until(patience, async () => {
    const found = await inForce(cluster, Object.keys(settings)).catch(() => [])
    last = found
    return (
      found.length === 3 && found.every((one) => Object.entries(wanted).every(([name, value]) => one[name] === value))
    )
  }).catch(async (error: Error) => {
    const events = await cluster.local.client.events({ last: 40 }).catch(() => [])
    const told = events.map(({ at, node, rule, kind, why }) => `${at} ${node} ${rule} ${kind} ${why}`).join('\n')
    throw new Error(
      `${error.message}\n${JSON.stringify(last)}\n${told}\n${JSON.stringify(await cluster.service('db'), null, 1)}`,
    )
  })
  await cluster.until('three replicas', isWhole, ROLLED_WITHIN_MS)
}

async function pids(cluster: TestCluster): Promise<Record<string, number | null>> {
  const { instances } = await cluster.service('db')
  return Object.fromEntries(instances.map(({ node, pid }) => [node, pid ?? null]))
}

async function expectNothingLost({ writer }: Rolling): Promise<void> {
  expect(await writer.lost()).toEqual([])
  expect(writer.told()).toBe('')
}

test('five settings are raised and lowered at once, and one of each: no error, nothing lost', async () => {
  const rolling = await begin()
  const { cluster, writer } = rolling
  const { primary: first } = await cluster.service('db')
  const before = await pids(cluster)

  await apply(cluster, set(RAISED))
  await untilInForce(cluster, RAISED)
  const { primary: second } = await cluster.service('db')
  expect(second).not.toBe(first)
  const raised = await pids(cluster)
  for (const node of ['a', 'b', 'c']) expect(raised[node]).not.toBe(before[node])
  writer.forgetGap()

  await apply(cluster, set(BASE))
  await untilInForce(cluster, BASE)
  expect((await cluster.service('db')).primary).toBe(second)
  writer.forgetGap()

  const mixed = { ...BASE, max_connections: 35, max_wal_senders: 14 }
  await apply(cluster, set(mixed))
  await untilInForce(cluster, mixed)
  expect((await cluster.service('db')).primary).toBe(second)
  await writer.untilAcknowledged(20)
  await expectNothingLost(rolling)
}, 480_000)

test('a setting that a reload brings restarts nothing; a restart that is asked for restarts all, the primary by a switchover', async () => {
  const rolling = await begin()
  const { cluster, writer } = rolling
  const { primary } = await cluster.service('db')
  const before = await pids(cluster)
  const more = { ...BASE, work_mem: '8MB' }
  await apply(cluster, set(more))
  await untilInForce(cluster, more)
  expect(await pids(cluster)).toEqual(before)
  writer.forgetGap()

  await askRestart(cluster, 1)
  const isOther = (status: Status) => {
    const { instances } = serviceOf(status, 'db')
    return isWhole(status) && instances.every(({ node, pid }) => pid && pid !== before[node])
  }
  await cluster.until('three other servers', isOther, ROLLED_WITHIN_MS)
  expect((await cluster.service('db')).primary).not.toBe(primary)
  await writer.untilAcknowledged(20)
  await expectNothingLost(rolling)
}, 300_000)

test('the primary is killed in the middle of a roll-out, and an agent of each node in the next: nothing is lost', async () => {
  const { cluster, writer } = await begin()
  await apply(cluster, set(RAISED))
  const isBegun = (status: Status) => serviceOf(status, 'db').instances.some(({ healthy }) => !healthy)
  await cluster.until('a replica that is being restarted', isBegun, ROLLED_WITHIN_MS)
  const { primary } = await cluster.service('db')
  const pid = (await pids(cluster))[primary ?? '']
  const server = pid ? identify(pid) : undefined
  if (server) signal(server, 'SIGKILL')
  await untilInForce(cluster, RAISED)
  await writer.untilAcknowledged(20)

  await apply(cluster, set(BASE))
  for (const node of ['a', 'b', 'c']) {
    cluster.local.killAgent(node)
    await writer.untilAcknowledged(50)
  }
  await untilInForce(cluster, BASE)
  await writer.untilAcknowledged(20)
  expect(await writer.lost()).toEqual([])
}, 480_000)

test('another password is taken without an outage; a database that is removed is set aside, and one of its name begins anew', async () => {
  const rolling = await begin()
  const { cluster, writer } = rolling
  const before = await pids(cluster)
  await apply(cluster, (options) => {
    options.bootstrap = { ...(options.bootstrap as Options), password: 'second' }
  })
  const patience = { clock, everyMs: 50, withinMs: 30_000 }
  await until({ ...patience, what: 'the new password' }, () => logsIn(cluster, 'second'))
  expect(await logsIn(cluster, 'first')).toBe(false)
  expect(await pids(cluster)).toEqual(before)
  await writer.untilAcknowledged(20)
  await writer.stop()
  expect(writer.told()).toBe('')

  const { services } = cluster.spec
  await applySpec(cluster, (spec) => {
    spec.services = []
  })
  const state = new StateFolder(cluster.stateDir)
  const aside = await until({ ...patience, what: 'three leftovers' }, async () => {
    const all = (await listLeftovers(state)).filter(({ kind }) => kind === 'removed')
    return all.length === 3 ? all : undefined
  })
  expect(aside.map(({ node, service }) => `${service} on ${node}`).sort()).toEqual(['db on a', 'db on b', 'db on c'])
  await cluster.until('no service', (status) => status.services.length === 0, 30_000)
  await until({ ...patience, what: 'its records to be deleted' }, () =>
    inStore(cluster, async (store) => (await store.read('service/db')).entries.size === 0),
  )
  await applySpec(cluster, (spec) => {
    spec.services = services
  })
  const isBack = (status: Status) => status.services.length === 1 && isWhole(status)
  await cluster.until('three new replicas', isBack, 90_000)
  expect(await logsIn(cluster, 'first')).toBe(true)
  const client = new pg.Client({ host: cluster.spec.nodes[0]?.address ?? '', port: LISTEN, ...LOGIN })
  await client.connect()
  expect((await client.query("select to_regclass('ledger') as it")).rows).toEqual([{ it: null }])
  await client.end()
  expect((await listLeftovers(state)).filter(({ kind }) => kind === 'removed')).toHaveLength(3)
}, 300_000)
