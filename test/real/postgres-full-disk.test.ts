/**
 * A disk without one free byte below one replica, while clients write. The disk is a small tmpfs, so this needs root.
 *
 * Exercises: agent, api, balancer, cli, client, core, drivers/postgres, drivers/process, local, stores. Engines: postgresql.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import type { EventRecord, Status } from '../../src/client/index.ts'
import { postgres } from '../../src/config/define.ts'
import { type Prepared, serviceOf, startCluster, type TestCluster } from './cluster.ts'
import { anyPostgres } from './engines.ts'
import { BalancerWriter } from './postgres-writer.ts'

const DISK = '400m'
const LISTEN = 5432
const running: TestCluster[] = []
const writers: BalancerWriter[] = []
const disks: string[] = []

afterEach(async () => {
  for (const writer of writers.splice(0)) await writer.stop()
  for (const cluster of running) await cluster.local.kill()
  unmountAll()
  for (const cluster of running.splice(0)) await cluster.stop()
})
process.once('exit', unmountAll)

/** Each replica has a disk of its own. */
async function mountAll({ spec, stateDir }: Prepared): Promise<void> {
  for (const { name } of spec.nodes) {
    const disk = diskOf(stateDir, name)
    mkdirSync(disk, { recursive: true, mode: 0o700 }) // as an agent makes them: then it lets the server's account in
    const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK},mode=755`, 'tmpfs', disk])
    if (status !== 0) throw new Error(`no disk for ${name}: ${stderr}`)
    disks.push(disk)
  }
}

/** Lazily: a process that is ending may still have a file open there. */
function unmountAll(): void {
  for (const disk of disks.splice(0)) spawnSync('umount', ['-l', disk])
}

/** Why this cannot be tried here; null: it can. */
const cannotMount = ((): string | null => {
  if (process.getuid?.() !== 0) return 'not root'
  const { status, stderr } = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'])
  return status === 0 ? null : `no tmpfs can be mounted: ${stderr}`
})()
if (cannotMount) console.log(`the tests of a full disk are left out: ${cannotMount}`)

function diskOf(stateDir: string, node: string): string {
  return join(stateDir, 'nodes', node, 'instances', 'db')
}

/** To the last byte, by a file of another program. Returns what makes room again. */
function fill(cluster: TestCluster, node: string): () => void {
  const path = join(diskOf(cluster.stateDir, node), 'filler')
  spawnSync('sh', ['-c', `cat /dev/zero > '${path}'`], { stdio: 'ignore' })
  expect(statfsSync(path).bavail).toBe(0)
  return () => rmSync(path)
}

const isRedundant = (status: Status) => serviceOf(status, 'db').redundancyState.state === 'redundant'
const isDegraded = (status: Status) => serviceOf(status, 'db').redundancyState.state === 'degraded'
const FULL = /No space left on device|only \d+ MB are free on the disk/

interface Place {
  readonly cluster: TestCluster
  readonly writer: BalancerWriter
  readonly primary: string
  readonly standby: string
  /** What was told since the disk was filled. */
  told(): Promise<EventRecord[]>
}

async function begin(): Promise<Place> {
  const db = postgres({
    ...anyPostgres,
    instances: 3,
    listen: LISTEN,
    database: { name: 'shop', owner: 'shop', password: 'first' },
    settings: { shared_buffers: '16MB', max_connections: 40, max_wal_size: '64MB', min_wal_size: '32MB' },
    limits: { freeSpace: '16MiB' },
  })
  const cluster = await startCluster(() => ({ db }), { prepare: mountAll })
  running.push(cluster)
  const status = await cluster.until('all replicas are there', isRedundant, 90_000)
  const { primary, instances } = serviceOf(status, 'db')
  const standby = instances.find(({ node }) => node !== primary)?.node
  const away = instances.find(({ node }) => node !== primary && node !== standby)?.node
  const host = cluster.spec.nodes.find(({ name }) => name === away)?.address
  if (!primary || !standby || !host) throw new Error('three replicas are not where they belong')
  const writer = new BalancerWriter({ host, port: LISTEN, user: 'shop', password: 'first', database: 'shop' })
  writers.push(writer)
  await writer.begin()
  await writer.untilAcknowledged(50)
  const since = (await cluster.local.client.events()).at(-1)?.id
  const told = async () => {
    const events = await cluster.local.client.events()
    return events.slice(events.findIndex(({ id }) => id === since) + 1)
  }
  return { cluster, writer, primary, standby, told }
}

/** As long as it is full: status and `why` name the disk. */
async function saysWhy({ cluster }: Place, node: string): Promise<void> {
  const namesIt = (status: Status) => {
    const { redundancyState, instances } = serviceOf(status, 'db')
    const [missing] = redundancyState.missing.filter((one) => one.node === node)
    const words = `${missing?.why} ${instances.find((one) => one.node === node)?.note}`
    return redundancyState.state === 'degraded' && FULL.test(words)
  }
  await cluster.until(`status says of ${node} that its disk is full`, namesIt, 60_000)
  const { client } = cluster.local
  await expect.poll(async () => JSON.stringify(await client.why('db')), { timeout: 30_000 }).toMatch(FULL)
}

/** No false alarm, and no sentence told over and over. */
function judge(events: readonly EventRecord[]): void {
  const alarms = events.filter(({ rule }) => rule === 'two-writers' || rule === 'promise-broken')
  expect(alarms.map(({ why }) => why)).toEqual([])
  const times = new Map<string, number>()
  for (const { node, rule, why } of events) {
    const key = `${node} ${rule} ${why.replace(/\d+/g, 'N')}`
    times.set(key, (times.get(key) ?? 0) + 1)
  }
  console.log(`${events.length} events; most often: ${Math.max(...times.values())} times`)
  for (const [sentence, count] of times) expect(count, sentence).toBeLessThanOrEqual(6)
}

describe.skipIf(cannotMount !== null)('a disk without a free byte', () => {
  test("the primary's: another node becomes primary, the reason is named, nothing is lost, and it comes back with room", async () => {
    const place = await begin()
    const { cluster, writer, primary, told } = place
    const makeRoom = fill(cluster, primary)
    const isMoved = (status: Status) => {
      const now = serviceOf(status, 'db')
      return now.healthy && now.primary !== null && now.primary !== primary
    }
    await cluster.until('another node is the primary', isMoved, 120_000)
    await writer.untilAcknowledged(100)
    await saysWhy(place, primary)
    await writer.untilAcknowledged(500)
    expect(isDegraded(await cluster.status())).toBe(true)
    makeRoom()
    await cluster.until('three replicas again', isRedundant, 180_000)
    expect(await writer.lost()).toEqual([])
    judge(await told())
  }, 600_000)

  test("a standby's: writes go on at the same primary, the reason is named, and it comes back with room", async () => {
    const place = await begin()
    const { cluster, writer, primary, standby, told } = place
    const makeRoom = fill(cluster, standby)
    await saysWhy(place, standby)
    await writer.untilAcknowledged(500)
    expect(serviceOf(await cluster.status(), 'db').primary).toBe(primary)
    makeRoom()
    await cluster.until('three replicas again', isRedundant, 180_000)
    expect(serviceOf(await cluster.status(), 'db').primary).toBe(primary)
    expect(await writer.lost()).toEqual([])
    judge(await told())
  }, 600_000)
})
