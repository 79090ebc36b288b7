/**
 * Logical replication slots of users over a change of primary: a consumer that comes in by the front door gets every change in order.
 * Repeats are allowed, as logical decoding allows them; gaps never.
 *
 * Exercises: balancer, drivers/postgres. Engines: postgresql.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type pg from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import { POSTGRES_DEFAULTS, type PostgresOptions } from '../../src/drivers/postgres/options.ts'
import { everythingOf } from '../../src/drivers/postgres/server/postmaster.ts'
import { signal } from '../../src/lib/proc.ts'
import { everyPostgres, systemPostgres } from './engines.ts'
import type { Trio } from './postgres-trio.ts'
import { beginTrioBalancer, clientOf, endTrioBalancers, PRIMARY, type TrioWithBalancer, targetOf } from './trio-door.ts'

const STREAMER = { user: 'streamer', password: 'a secret of the consumer', database: 'postgres' }
const consumers: ChildProcess[] = []

afterEach(async () => {
  for (const consumer of consumers.splice(0)) await end(consumer)
  await endTrioBalancers()
})

async function end(consumer: ChildProcess): Promise<void> {
  if (consumer.exitCode !== null || consumer.signalCode !== null) return
  const gone = once(consumer, 'exit')
  consumer.kill('SIGKILL')
  await gone
}

type Place = TrioWithBalancer & { readonly version: number }

async function begin(bin: string | null, change: Partial<PostgresOptions> = {}): Promise<Place> {
  const settings = { shared_buffers: '16MB', max_connections: 40, wal_level: 'logical' }
  const place = await beginTrioBalancer({ bin, options: { settings, ...change } })
  const { trio } = place
  await trio.rows('a', `create role streamer login replication password '${STREAMER.password}'`)
  await trio.rows('a', 'create table item (id int primary key)')
  const [row] = await trio.rows('a', "select current_setting('server_version_num')::int / 10000 as version")
  return { ...place, version: Number(row?.version) }
}

/** Made so that standbys may take it over. */
function slotText(name: string, version: number): string {
  const more = version >= 17 ? ', false, false, true' : ''
  return `select pg_create_logical_replication_slot('${name}', 'test_decoding'${more})`
}

/** Connects again by itself, five seconds after its connection broke. */
function consume({ balancer, trio }: TrioWithBalancer, slot: string): () => number[] {
  const file = join(trio.root, `${slot}.txt`)
  const said = openSync(join(trio.root, `${slot}.log`), 'a')
  const to = ['-h', '127.0.0.1', '-p', String(balancer.port), '-U', STREAMER.user, '-d', STREAMER.database]
  const how = ['-S', slot, '--start', '-f', file, '-s', '1', '-F', '1', '-o', 'skip-empty-xacts=1']
  const consumer = spawn(join(systemPostgres ?? '', 'pg_recvlogical'), [...to, ...how], {
    env: { PGPASSWORD: STREAMER.password, PATH: process.env.PATH },
    stdio: ['ignore', 'ignore', said],
  })
  closeSync(said)
  consumers.push(consumer)
  return () => {
    if (!existsSync(file)) return []
    return [...readFileSync(file, 'utf8').matchAll(/table public\.item: INSERT: id\[integer\]:(\d+)/g)].map(([, id]) =>
      Number(id),
    )
  }
}

async function insert(trio: Trio, node: string, from: number, to: number): Promise<void> {
  const client = await trio.connect(node)
  for (let id = from; id <= to; id += 1) await client.query('insert into item values ($1)', [id])
  await client.end()
}

/** A consumer that gets n next has had n - 1: from where it is repeated, all comes again. */
function gapsIn(ids: readonly number[]): string[] {
  let most = 0
  return ids.flatMap((id, at) => {
    const before = ids[at - 1] ?? 0
    const isNext = id === before + 1 || id <= most
    most = Math.max(most, id)
    return isNext ? [] : [`${before} → ${id}`]
  })
}

async function untilCarried(trio: Trio, nodes: readonly string[], slot: string, primary = 'a'): Promise<void> {
  let checkpointAt = 0
  for (const node of nodes) {
    const has = `select 1 from pg_replication_slots where slot_name = '${slot}' and not temporary`
    const isThere = async () => {
      if (trio.observe(node).state !== 'running') return false
      if (trio.observe(node).note.includes('not compared')) return false
      if (trio.observe(node).note.includes(slot)) {
        if (performance.now() - checkpointAt > 1_000) {
          await trio.rows(primary, 'checkpoint') // what a primary does by and by
          checkpointAt = performance.now()
        }
        return false
      }
      return (await trio.rows(node, has).catch(() => [])).length === 1
    }
    await trio.until(`${slot} is carried to ${node} (${trio.observe(node).note})`, isThere, 60_000)
  }
}

async function untilConsumed(trio: Trio, ids: () => number[], last: number): Promise<void> {
  await trio
    .until(`the consumer has ${last}`, () => ids().includes(last), 60_000)
    .catch((error: unknown) => {
      const said = readFileSync(join(trio.root, 'feed.log'), 'utf8').slice(-2_000)
      const notes = trio.nodes.map((node) => `${node}: ${trio.observe(node).note}`).join('; ')
      throw new Error(`${String(error)}; it has ${ids().at(-1)}, notes: ${notes}; it said: ${said}`)
    })
}

/** A slot that moves: PostgreSQL synchronises one for good when it has come to where the standby began. */
async function whileItMoves(trio: Trio, slot: string, work: () => Promise<void>): Promise<void> {
  const client = await trio.connect('a')
  const advance = () => client.query(`select pg_replication_slot_advance('${slot}', pg_current_wal_lsn())`)
  const moving = setInterval(() => void advance().catch(() => {}), 500)
  try {
    await work()
  } finally {
    clearInterval(moving)
    await client.end()
  }
}

describe.skipIf(systemPostgres === null).each(everyPostgres)('PostgreSQL $name', ({ bin }) => {
  test('a consumer gets every change in order over a kill of the primary and a switchover back', async () => {
    const place = await begin(bin)
    const { trio: t, balancer, version } = place
    await t.rows('a', slotText('feed', version))
    const ids = consume(place, 'feed')
    await insert(t, 'a', 1, 50)
    await untilConsumed(t, ids, 50)
    await untilCarried(t, ['b', 'c'], 'feed')

    const cut = insert(t, 'a', 51, 100_000).catch(() => {}) // in the middle of its work
    await untilConsumed(t, ids, 70)
    process.kill(t.pidOf('a'), 'SIGKILL')
    await t.until('the end is seen', () => t.observe('a').state === 'stopped')
    await cut
    const { leader, other } = await t.failOver(2)
    balancer.route([targetOf(t, leader, 2)], PRIMARY)
    const [{ last } = {}] = await t.rows(leader, 'select max(id) as last from item')
    const first = Number(last) + 1
    await insert(t, leader, first, first + 39)
    await untilConsumed(t, ids, first + 39)

    await t.driver('a').follow(t.quorum(2, leader), t.address(leader))
    await untilCarried(t, ['a', other], 'feed', leader)
    const [stale] = await t.rows(
      'a',
      "select confirmed_flush_lsn - '0/0' as at from pg_replication_slots where slot_name = 'feed'",
    )
    expect(Number(stale?.at)).toBeGreaterThan(0)

    await insert(t, leader, first + 40, first + 69)
    await t.driver(leader).demote(3)
    await Promise.all(['a', other].map((node) => t.driver(node).recruit(3)))
    await t.enact(t.quorum(3, 'a'), other, leader)
    balancer.route([targetOf(t, 'a', 3)], PRIMARY)
    await insert(t, 'a', first + 70, first + 99)
    await untilConsumed(t, ids, first + 99)
    expect(gapsIn(ids())).toEqual([])
    expect(ids()[0]).toBe(1)
  })

  test('a slot that is dropped on the primary goes from the standbys, and what no standby takes over is named before', async () => {
    const { trio: t, version } = await begin(bin)
    await t.rows('a', slotText('feed', version))
    if (version >= 17) await t.rows('a', "select pg_create_logical_replication_slot('plain', 'test_decoding')")
    const holder = await t.connect('a')
    await holder.query("select pg_create_logical_replication_slot('passing', 'test_decoding', true)")
    await t.until('the primary names what no standby takes over', () => {
      const { note } = t.observe('a')
      return (
        note.includes('passing (temporary)') && (version < 17 || note.includes('plain (made without failover = true)'))
      )
    })
    await holder.end()
    await t.until('and no more when it is gone', () => !t.observe('a').note.includes('passing'))
    await whileItMoves(t, 'feed', () => untilCarried(t, ['b', 'c'], 'feed'))
    await t.rows('a', "select pg_drop_replication_slot('feed')")
    for (const node of ['b', 'c']) {
      await t.until(`it is gone from ${node}`, async () => {
        return (await t.rows(node, "select 1 from pg_replication_slots where slot_name = 'feed'")).length === 0
      })
    }
  })
})

describe.skipIf(systemPostgres === null).each(everyPostgres)('PostgreSQL $name, slots in trouble', ({ bin }) => {
  test('a slot without a reader holds back no more WAL on a standby than it may, and is named', async () => {
    const limits = { ...POSTGRES_DEFAULTS.limits, slotKeepMb: 8, walKeepMb: 0 }
    const { trio: t, version } = await begin(bin, { limits })
    await t.rows('a', slotText('idle', version))
    await whileItMoves(t, 'idle', () => untilCarried(t, ['b', 'c'], 'idle'))
    await t.rows('a', 'create table filler (one text)')
    await t.until('it is named', async () => {
      await t.rows('a', "insert into filler select repeat('x', 1000) from generate_series(1, 4000); checkpoint")
      return t.observe('a').note.includes('idle (it lost the WAL that it needs)')
    })
    for (const node of ['b', 'c']) {
      await t.until(`${node} lets go of the WAL`, async () => {
        const held = "select 1 from pg_replication_slots where slot_name = 'idle' and wal_status <> 'lost'"
        return (await t.rows(node, held)).length === 0
      })
    }
  })

  test('a frozen primary does not hold up the promotion of a standby that asks it for slots', async () => {
    const { trio: t, version } = await begin(bin)
    await t.rows('a', slotText('feed', version))
    await whileItMoves(t, 'feed', () => untilCarried(t, ['b', 'c'], 'feed'))
    const frozen = everythingOf(t.dataOf('a'))
    for (const one of frozen) signal(one, 'SIGSTOP')
    try {
      if (version >= 17) {
        const waits = `select 1 from pg_stat_activity
          where backend_type = 'slotsync worker' and wait_event <> 'ReplicationSlotsyncMain'`
        await t.until('b waits for an answer', async () => (await t.rows('b', waits)).length === 1, 60_000)
      }
      const { leader } = await t.failOver(2)
      expect(await t.rows(leader, "select 1 from pg_replication_slots where slot_name = 'feed'")).toHaveLength(1)
    } finally {
      for (const one of frozen) signal(one, 'SIGCONT')
    }
  })
})

describe.skipIf(systemPostgres === null)('consumers at the balancer', () => {
  test('a replication connection is led to the primary, and closed when the primary changes', async () => {
    const { trio: t, balancer } = await begin(null)
    const client = clientOf(balancer, { ...STREAMER, replication: 'database' } as pg.ClientConfig)
    await client.connect()
    const { rows } = await client.query('IDENTIFY_SYSTEM')
    // An int4 before version 16, then an int8, which comes as text.
    expect({ ...rows[0], timeline: Number(rows[0].timeline) }).toMatchObject({ dbname: 'postgres', timeline: 1 })
    const told: unknown[] = []
    client.on('error', (error) => told.push((error as pg.DatabaseError).code))
    const closed = new Promise<void>((resolve) => client.once('end', () => resolve()))
    await t.driver('a').demote(2)
    const { leader } = await t.failOver(2)
    balancer.route([targetOf(t, leader, 2)], PRIMARY)
    await closed
    expect(told).toContain('57P01')
  })
})
