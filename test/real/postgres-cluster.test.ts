/**
 * A PostgreSQL database in a whole cluster: agents, front doors and servers as real processes. A writer inserts through a door,
 * one row after the other; whatever was acknowledged must be there afterwards.
 *
 * Exercises: api, balancer, client, drivers/postgres, local, stores. Engines: postgresql. Fast.
 */
import { readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { postgres } from '../../src/config/define.ts'
import { askSwitchover, serviceOf, startCluster, type TestCluster, untilPrimaryPid } from './cluster.ts'
import { anyPostgres } from './engines.ts'
import { BalancerWriter } from './postgres-writer.ts'
import { watchSlowness } from './slowness.ts'

const LISTEN = 5432
const running: TestCluster[] = []
const writers: BalancerWriter[] = []

afterEach(async () => {
  for (const writer of writers.splice(0)) await writer.stop()
  for (const cluster of running.splice(0)) await cluster.stop()
})

async function begin(): Promise<TestCluster> {
  const cluster = await startCluster(() => ({
    db: postgres({
      ...anyPostgres,
      instances: 3,
      listen: LISTEN,
      listenStandby: 5433,
      database: { name: 'shop', owner: 'shop', password: 'first' },
      settings: { shared_buffers: '16MB', max_connections: 40 },
    }),
  }))
  running.push(cluster)
  await untilWhole(cluster)
  return cluster
}

/** One is primary, two follow and count, and all are healthy. */
async function untilWhole(cluster: TestCluster): Promise<void> {
  await cluster.until(
    'a primary and two standbys, all of them well',
    (status) => {
      const { instances } = serviceOf(status, 'db')
      const well = instances.filter(({ healthy }) => healthy)
      return well.length === 3 && well.filter(({ role }) => role === 'primary').length === 1
    },
    40_000,
  )
}

async function write(cluster: TestCluster, node = 'a'): Promise<BalancerWriter> {
  const host = cluster.spec.nodes.find(({ name }) => name === node)?.address ?? ''
  const writer = new BalancerWriter({ host, port: LISTEN, user: 'shop', password: 'first', database: 'shop' })
  writers.push(writer)
  await writer.begin()
  await writer.untilAcknowledged(50)
  return writer
}

test('the postmaster of the primary is killed: writes go on, and nothing acknowledged is lost', async () => {
  const cluster = await begin()
  const writer = await write(cluster)
  const pid = await untilPrimaryPid(cluster, 'db')
  await expectGap(writer, 'postmaster killed', 1_000, () => process.kill(pid, 'SIGKILL'))
  await untilWhole(cluster)
  expect(await writer.lost()).toEqual([])
}, 240_000)

test('every process of the primary is frozen: another leads, and what thaws comes back as a standby', async () => {
  const cluster = await begin()
  const writer = await write(cluster)
  const frozen = serversOf(cluster, await primaryOf(cluster))
  try {
    await expectGap(writer, 'primary frozen', 2_000, () => {
      for (const pid of frozen) signal(pid, 'SIGSTOP')
    })
  } finally {
    for (const pid of frozen) signal(pid, 'SIGCONT')
  }
  await untilWhole(cluster)
  expect(await writer.lost()).toEqual([])
}, 240_000)

test("all of the primary's node is killed at once: writes go on through another node's balancer; it comes back", async () => {
  const cluster = await begin()
  const balancer = (await primaryOf(cluster)) === 'a' ? 'b' : 'a'
  const writer = await write(cluster, balancer)
  const node = await primaryBeside(cluster, balancer)
  const left = serversOf(cluster, node)
  await expectGap(writer, 'node lost', 2_000, async () => {
    await cluster.local.killNode(node)
    for (const pid of left) signal(pid, 'SIGKILL') // a node that loses its power loses all of it
  })
  cluster.local.startNode(node)
  await untilWhole(cluster)
  expect(await writer.lost()).toEqual([])
}, 240_000)

test('a switchover: the writer pauses, and nothing is lost', async () => {
  const cluster = await begin()
  const writer = await write(cluster)
  for (;;) {
    const [told, { term }] = [writer.told(), await cluster.service('db')]
    let asked: Awaited<ReturnType<typeof askSwitchover>> | undefined
    await expectGap(writer, 'switchover', 1_500, async () => {
      asked = await askSwitchover(cluster, 'db')
    })
    const became = await asked?.outcome
    await untilWhole(cluster)
    if (became && 'to' in became) break
    // It may rightly be called off. Then nothing has happened, and it is asked for again.
    expect((await cluster.service('db')).term).toBe(term)
    expect(writer.told()).toBe(told)
  }
  expect(await writer.lost()).toEqual([])
}, 240_000)

/** The fault is done here, so that all of it is watched. */
async function expectGap(writer: BalancerWriter, fault: string, quietMs: number, inject: () => unknown): Promise<void> {
  const slowness = watchSlowness()
  writer.forgetGap()
  await inject()
  await writer.untilGap(quietMs / 10)
  await writer.untilAcknowledged(50)
  const gapMs = writer.longestGapMs
  const slowMs = await slowness.ms()
  console.log(
    `${fault}: longest gap ${Math.round(gapMs)} ms (the machine was ${Math.round(slowMs)} ms slow); ${writer.told()}`,
  )
  expect(gapMs).toBeLessThan(quietMs + 6 * slowMs)
}

async function primaryOf(cluster: TestCluster): Promise<string> {
  const status = await cluster.until('db has a primary', (now) => serviceOf(now, 'db').primary !== null)
  return serviceOf(status, 'db').primary ?? ''
}

/** Who leads, when it is not this node: the lead may have moved there meanwhile, and then it is asked to move on. */
async function primaryBeside(cluster: TestCluster, node: string): Promise<string> {
  for (;;) {
    const primary = await primaryOf(cluster)
    if (primary !== node) return primary
    await (await askSwitchover(cluster, 'db')).outcome
    await untilWhole(cluster)
  }
}

/** Every process of the server of a node: all of them stand in its data folder. */
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

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // It has ended meanwhile.
  }
}
