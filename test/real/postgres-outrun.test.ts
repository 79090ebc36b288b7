/**
 * A load that outruns a standby: so much log that its slot is given up, as trap 23 asks, or the disk would fill. It runs and
 * can never receive again; the cluster has to notice that and clone it anew by itself, and no other node is disturbed.
 *
 * Exercises: api, balancer, client, drivers/postgres, local, stores. Engines: postgresql.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { afterEach, expect, test } from 'vitest'
import { postgres } from '../../src/config/define.ts'
import { systemClock as clock } from '../../src/lib/clock.ts'
import { until } from '../../src/lib/until.ts'
import { serviceOf, startCluster, type TestCluster } from './cluster.ts'
import { anyPostgres } from './engines.ts'
import { BalancerWriter } from './postgres-writer.ts'

const LISTEN = 5432
let cluster: TestCluster | undefined
let writer: BalancerWriter | undefined
const stopped: number[] = []

afterEach(async () => {
  for (const pid of stopped.splice(0)) resume(pid)
  await cluster?.stop()
  await writer?.stop() // a write that waits for its quorum ends with its server
  cluster = undefined
  writer = undefined
})

test('a standby loses its slot while it runs: it is copied anew, and no write fails or is lost', async () => {
  cluster = await startCluster(() => ({
    db: postgres({
      ...anyPostgres,
      instances: 3,
      listen: LISTEN,
      database: { name: 'shop', owner: 'shop', password: 'first' },
      settings: { shared_buffers: '16MB', max_connections: 40, max_wal_size: '32MB', min_wal_size: '32MB' },
      limits: { heldLog: '32MiB', keptLog: '16MiB' },
    }),
  }))
  const c = cluster
  const isWhole = (status: Awaited<ReturnType<TestCluster['status']>>) => {
    const { healthy, instances, readOnly } = serviceOf(status, 'db')
    return healthy && readOnly === null && instances.filter((one) => one.healthy).length === 3
  }
  await c.until('a primary and two standbys, all of them well', isWhole, 40_000)
  const { primary } = await c.service('db')
  const host = c.spec.nodes.find(({ name }) => name === primary)?.address ?? ''
  const target = { host, port: LISTEN, user: 'shop', password: 'first', database: 'shop' }
  writer = new BalancerWriter(target)
  await writer.begin()
  await writer.untilAcknowledged(50)

  const { instances, term } = await c.service('db')
  const late = instances.find(({ node }) => node !== primary)
  stopped.push(receiverOf(late?.pid ?? 0))
  for (const pid of stopped) process.kill(pid, 'SIGSTOP')
  const run = join(c.stateDir, 'nodes', primary ?? '', 'instances', 'db', 'run')
  const port = instances.find(({ node }) => node === primary)?.port ?? 0
  const load = new pg.Client({ host: run, port, user: 'postgres', database: 'shop' })
  load.on('error', () => {}) // the statement hears of it
  await load.connect()
  await load.query('create table load (text text)')
  await load.query('insert into load select repeat(md5(n::text), 40) from generate_series(1, 60000) n')
  await load.query('checkpoint')
  const slots = 'select wal_status as it from pg_replication_slots where slot_name = $1'
  await until({ clock, everyMs: 50, withinMs: 30_000, what: 'its slot is lost' }, async () => {
    return (await load.query(slots, [`understudy_${late?.node}`])).rows[0]?.it === 'lost'
  })
  await load.end()
  for (const pid of stopped.splice(0)) resume(pid)

  await c.until(
    'it was copied, and all three are well',
    (now) => {
      const copy = serviceOf(now, 'db').instances.find(({ node }) => node === late?.node)
      return isWhole(now) && copy?.pid !== late?.pid
    },
    60_000,
  )
  await writer.untilAcknowledged(50, 60_000)
  console.log(`the longest gap was ${Math.round(writer.longestGapMs)} ms; told: ${writer.told()}`)
  expect(await writer.lost()).toEqual([])
  expect(writer.errors.size).toBe(0)
  expect(await c.service('db')).toMatchObject({ primary, term })
}, 180_000)

/** The process that receives on the standby with this postmaster. */
function receiverOf(postmaster: number): number {
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      const parent = /^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${name}/status`, 'utf8'))?.[1]
      if (Number(parent) !== postmaster) continue
      if (readFileSync(`/proc/${name}/cmdline`, 'utf8').includes('walreceiver')) return Number(name)
    } catch {
      // It ended meanwhile.
    }
  }
  throw new Error(`no process receives for ${postmaster}`)
}

function resume(pid: number): void {
  try {
    process.kill(pid, 'SIGCONT')
  } catch {
    // It was ended.
  }
}
