/**
 * The traps of promoting PostgreSQL (docs/safety.md numbers them), each against real servers. They are about the mechanics of
 * one member; who decides to fence whom is tested elsewhere.
 *
 * Exercises: drivers/postgres. Engines: postgresql of the system.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterEach, expect, test } from 'vitest'
import { POSTGRES_DEFAULTS } from '../../src/drivers/postgres/options.ts'
import { receiversOf } from '../../src/drivers/postgres/server/postmaster.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { identify } from '../../src/lib/proc.ts'
import { Ledger, Trio } from './postgres-trio.ts'

let trio: Trio | undefined
const cleanUps: (() => void)[] = []

afterEach(async () => {
  await trio?.end()
  trio = undefined
  for (const cleanUp of cleanUps.splice(0)) cleanUp()
})

async function begin(wanted: ConstructorParameters<typeof Trio>[0] = {}): Promise<Trio> {
  trio = new Trio(wanted)
  await trio.begin()
  return trio
}

const SETTINGS = { shared_buffers: '16MB', max_connections: 40 }

const log = (t: Trio, node: string) => BigInt(t.observe(node).replica.position?.log ?? '-1')

test('trap 1, 2: with replay paused, the receivers still end, stay away, and the primary gets nothing acknowledged', async () => {
  const t = await begin()
  for (const node of ['b', 'c']) await t.rows(node, 'select pg_wal_replay_pause()')
  const writer = await t.connect('a')
  const ledger = await Ledger.prepare(writer)
  await writer.query('insert into ledger (id) values (0)')
  await t.choose(2)
  let acknowledged = false
  const waiting = writer.query('insert into ledger (id) values (1)').then(() => {
    acknowledged = true
  })
  waiting.catch(() => {}) // its server is killed in the end
  const fencedAt = systemClock.mono()
  await t.until('a second to pass, with no receiver in it', async () => {
    for (const node of ['b', 'c']) expect(await t.rows(node, 'select pid from pg_stat_wal_receiver')).toEqual([])
    return systemClock.mono() - fencedAt > 1_000
  })
  expect(acknowledged).toBe(false)
  expect(ledger.acknowledged).toEqual([])
  expect(await t.rows('b', 'select pg_is_wal_replay_paused() as it')).toEqual([{ it: false }])
})

test('trap 2: a receiver that still goes to the old primary has no key for it, when its replica follows another one', async () => {
  const t = await begin()
  const conninfoOf = async (node: string) => String((await t.rows(node, 'show primary_conninfo'))[0]?.primary_conninfo)
  const was = { b: await conninfoOf('b'), c: await conninfoOf('c') }
  const { leader, other } = await t.failOver(2)
  const before = was[other as 'b' | 'c'].replaceAll("'", "''")
  const saidAt = statSync(t.logOf(other)).size
  await t.until('it tries the old one', async () => {
    // As its server would have it that was asked for a receiver before the fence. The agent takes it back, perhaps too soon.
    await t.rows(other, `alter system set primary_conninfo = '${before}'`)
    await t.rows(other, 'select pg_reload_conf()')
    return /no password supplied/.test(readFileSync(t.logOf(other)).subarray(saidAt).toString())
  })
  const streams = `select 1 from pg_stat_replication where application_name = '${other}'`
  expect(await t.rows('a', streams)).toEqual([])
  await t.until('it follows the new one again', async () => {
    const [row] = await t.rows(other, 'select sender_port from pg_stat_wal_receiver')
    return row?.sender_port === t.observe(leader).port
  })
})

test('trap 3: the position is read when nothing can be added to it any more, and covers all that was acknowledged', async () => {
  const t = await begin()
  const writer = await t.connect('a')
  const ledger = await Ledger.prepare(writer)
  ledger.begin(writer)
  await t.until('some rows', () => ledger.acknowledged.length > 200)
  const { leader, other, quorum } = await t.choose(2)
  const told = [log(t, 'b'), log(t, 'c')]
  // What was confirmed before the fence may still be on its way to the writer: the next row waits for ever.
  const waits = "select 1 from pg_stat_activity where wait_event = 'SyncRep' and query like 'insert into ledger%'"
  await t.until('a row waits', async () => (await t.rows('a', waits)).length === 1)
  const count = ledger.acknowledged.length
  const later = async (node: string) => {
    const [row] = await t.rows(
      node,
      `select greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0'::pg_lsn as log`,
    )
    return BigInt(String(row?.log))
  }
  await t.until('replay of everything', async () => (await later('b')) === told[0] && (await later('c')) === told[1])
  expect(ledger.acknowledged.length).toBe(count)
  await t.enact(quorum, other)
  expect(await ledger.lost(await t.connect(leader))).toEqual([])
})

test('trap 4: a receiver that hangs while it connects does not hold up the fence', async () => {
  // It tries for so long that a fence which waited for it would come to its own deadline.
  const t = await begin({ options: { timing: { ...POSTGRES_DEFAULTS.timing, connectMs: 20_000 } } })
  process.kill(t.pidOf('a'), 'SIGSTOP') // accepts connections and answers none
  await t.until('it is seen as frozen', () => t.observe('a').hung)
  const [receiver] = await t.rows('b', 'select pid from pg_stat_wal_receiver')
  process.kill(Number(receiver?.pid), 'SIGTERM')
  await t.until('a new receiver', async () => {
    const postmaster = identify(t.pidOf('b'))
    return postmaster !== undefined && receiversOf(postmaster).some(({ pid }) => pid !== receiver?.pid)
  })
  await t.driver('b').recruit(2)
  expect(t.observe('b').replica).toMatchObject({ recruited: true, pledged: 2 })
})

test('trap 5: a foreign restore_command is never in force on a replica', async () => {
  const t = await begin()
  await t.rows('b', "alter system set restore_command = 'cp /nowhere/%f %p'")
  await t.rows('b', 'select pg_reload_conf()')
  await t.driver('b').kill()
  await t.driver('b').recruit(2)
  expect(await t.rows('b', 'show restore_command')).toEqual([{ restore_command: '' }])
  expect(t.observe('b').replica.recruited).toBe(true)
})

test('trap 7: an agent that dies right after its pledge: the next one ends the receiver; a restarted server has none', async () => {
  const t = await begin()
  await t.driver('b').close()
  const path = join(t.root, 'b', 'instances', 'db', 'replica.json')
  const record = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
  writeFileSync(path, JSON.stringify({ ...record, pledged: 2, following: null }))
  await t.restartAgent('b')
  expect(await t.rows('b', 'select pid from pg_stat_wal_receiver')).toEqual([])
  expect(t.observe('b').replica).toMatchObject({ recruited: true, pledged: 2, receivingFrom: null })
  await t.driver('b').kill()
  await t.driver('b').start({ role: 'standby', term: 0 })
  expect(await t.rows('b', 'show primary_conninfo')).toEqual([{ primary_conninfo: '' }])
  expect(existsSync(join(t.root, 'b', 'instances', 'db', 'key'))).toBe(false)
  await expect(t.driver('b').follow(t.quorum(1, 'a'), t.address('a'))).rejects.toMatchObject({ code: 'UND_REFUSED' })
})

test('a query that holds up replay on the copy that has to confirm does not hold up the first write', async () => {
  // A standby of PostgreSQL waits for such a query for 30 s; this one would for ever.
  const t = await begin({ options: { settings: { ...SETTINGS, max_standby_streaming_delay: -1 } } })
  await t.rows('a', 'create table victim (id int)')
  await t.until('b has it', async () => (await t.rows('b', "select to_regclass('victim') as it"))[0]?.it !== null)
  const reader = await t.connect('b')
  await reader.query('begin isolation level repeatable read')
  await reader.query('select count(*) from victim')
  await t.rows('a', 'drop table victim; create table victim (id int)')
  await t.until('it blocks', async () => {
    const blocked = "select 1 from pg_stat_activity where backend_type = 'startup' and wait_event_type = 'Lock'"
    return (await t.rows('b', blocked)).length === 1
  })
  await t.driver('b').recruit(2)
  await t.untilAsFarAs('c', 'b')
  await t.driver('a').kill()
  await t.driver('c').recruit(2)
  await t.enact(t.quorum(2, 'c', { standbys: ['b'] }), 'b')
})

test('recruiting does not wait for a primary that its replica waits for: it calls that wait off', async () => {
  const t = await begin()
  const away = { ...t.address('a'), port: 1 } // nothing listens there
  await t.driver('b').recruit(2)
  const waiting = t.driver('b').follow(t.quorum(2, 'a'), away)
  waiting.catch(() => {}) // called off
  const startedAt = systemClock.mono()
  await t.driver('b').recruit(3)
  expect(systemClock.mono() - startedAt).toBeLessThan(10_000) // it would have waited for a minute
  await expect(waiting).rejects.toMatchObject({ code: 'UND_REFUSED' })
})

test('trap 8, 21: a cancelled commit is local; after a failover it is given up and shown, by a rewind right after the promotion', async () => {
  const t = await begin()
  const writer = await t.connect('a')
  await Ledger.prepare(writer)
  await t.choose(2)
  const waiting = writer.query('insert into ledger (id) values (8)')
  const canceller = await t.connect('a')
  const waits = "select pid from pg_stat_activity where wait_event = 'SyncRep' and query like 'insert into ledger%'"
  await t.until('the commit waits', async () => (await canceller.query(waits)).rows.length === 1)
  await canceller.query(`select pg_cancel_backend(pid) from (${waits}) as it`)
  await waiting // PostgreSQL says success, with a warning
  const { leader, quorum } = await t.failOver(2)
  await t.driver('a').follow(quorum, t.address(leader))
  await t.until('it counts again', () => !t.observe('a').replica.quarantined)
  for (const node of ['a', 'b', 'c']) expect(await t.rows(node, 'select id from ledger')).toEqual([])
  expect(t.observe('a').note).toMatch(/\(1 row\)/)
})

test('trap 9: a primary that crashed admits no client before its quorum has what it has', async () => {
  const t = await begin()
  const writer = await t.connect('a')
  await Ledger.prepare(writer)
  await writer.query("create role visitor login password 'v'; grant all on ledger to visitor")
  const visit = async () => {
    const client = new pg.Client({ ...t.address('a'), user: 'visitor', password: 'v', database: 'postgres' })
    try {
      await client.connect()
      return (await client.query('select id::int from ledger')).rows
    } finally {
      await client.end()
    }
  }
  expect(await visit()).toEqual([])
  for (const node of ['b', 'c']) await t.driver(node).kill()
  writer.query('insert into ledger (id) values (9)').catch(() => {}) // its server is killed while it waits
  const watcher = await t.connect('a')
  await t.until('the commit waits', async () => {
    return (
      (
        await watcher.query(
          "select 1 from pg_stat_activity where wait_event = 'SyncRep' and query like 'insert into ledger%'",
        )
      ).rows.length === 1
    )
  })
  process.kill(t.pidOf('a'), 'SIGKILL')
  await t.until('the end is seen', () => t.observe('a').state === 'stopped')
  const started = t.driver('a').start({ role: 'primary', term: 1 })
  started.catch(() => {}) // awaited below
  await t.until('the server runs', async () => {
    try {
      return (await t.rows('a', 'select 1 from ledger where id = 9')).length === 1
    } catch {
      return false // not yet
    }
  })
  await expect(visit()).rejects.toMatchObject({ code: '28000' }) // visible inside, and no client can see it
  expect(t.observe('a').replica.quorumDurable).toBe(false)
  await t.driver('b').follow(t.quorum(1, 'a'), t.address('a'))
  await started
  expect(await visit()).toEqual([{ id: 9 }])
  expect(t.observe('a').replica.quorumDurable).toBe(true)
})

test('trap 11: a new primary whose quorum is not there acknowledges nothing and admits no client', async () => {
  const t = await begin({ options: { timing: shortMarks() } })
  await t.driver('a').kill()
  const { leader, other, quorum } = await t.choose(2)
  await expect(t.driver(leader).promoteReplica(quorum)).rejects.toMatchObject({ code: 'UND_TIMED_OUT' })
  expect(t.observe(leader)).toMatchObject({ role: 'primary', replica: { quorumDurable: false } })
  const writer = await t.connect(leader)
  const write = writer.query('create table t ()').then(() => 'acknowledged')
  write.catch(() => {}) // its server is killed in the end
  expect(await Promise.race([write, pause(500)])).toBe('nothing')
  await t.driver(other).follow(quorum, t.address(leader))
  expect(await write).toBe('acknowledged')
  await t.enact(quorum)
})

test('trap 17: a copy that has not caught up cannot lead', async () => {
  const t = await begin()
  await t.driver('c').close()
  const path = join(t.root, 'c', 'instances', 'db', 'replica.json')
  const record = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
  writeFileSync(path, JSON.stringify({ ...record, quarantinedUntil: '99999999999' }))
  await t.restartAgent('c')
  expect(t.observe('c').replica.quarantined).toBe(true)
  await Promise.all(['b', 'c'].map((node) => t.driver(node).recruit(2)))
  await expect(t.driver('c').promoteReplica(t.quorum(2, 'c'))).rejects.toMatchObject({ code: 'UND_REFUSED' })
})

test('trap 18: a standby that was killed reports all that it had acknowledged, not where its last segment began', async () => {
  const t = await begin()
  const writer = await t.connect('a')
  const ledger = await Ledger.prepare(writer)
  ledger.begin(writer)
  await t.until('some rows', () => ledger.acknowledged.length > 200)
  await t.driver('c').kill() // from now on b alone acknowledges
  const before = ledger.acknowledged.length
  await t.until('more rows', () => ledger.acknowledged.length > before + 100)
  process.kill(t.pidOf('b'), 'SIGKILL')
  await t.until('the end is seen', () => t.observe('b').state === 'stopped')
  await t.driver('a').kill()
  await ledger.stop()
  await t.driver('b').recruit(2)
  await t.driver('c').recruit(2)
  expect(log(t, 'b') > log(t, 'c')).toBe(true)
  await t.enact(t.quorum(2, 'b'), 'c')
  expect(await ledger.lost(await t.connect('b'))).toEqual([])
})

test('trap 20: two promotions to one timeline number: the copy of the one that never became durable is made anew', async () => {
  const t = await begin({ options: { timing: shortMarks() } })
  await t.driver('a').kill()
  const { leader, other, quorum } = await t.choose(2)
  await expect(t.driver(leader).promoteReplica(quorum)).rejects.toMatchObject({ code: 'UND_TIMED_OUT' })
  const phantom = await t.connect(leader)
  phantom.query('create table phantom ()').catch(() => {}) // never acknowledged: its server is killed
  const waits = "select 1 from pg_stat_activity where wait_event = 'SyncRep' and query like 'create%'"
  await t.until('it waits', async () => (await t.rows(leader, waits)).length === 1)
  await t.driver(leader).kill()
  await t.driver(other).recruit(3)
  // Only the mark waits for the one that led: the promotion itself does not.
  await t.enact(t.quorum(3, other), leader)
  await t.until('it counts again', () => !t.observe(leader).replica.quarantined)
  expect(t.observe(other).replica.position).toMatchObject({ term: 3, timeline: 2 })
  await t.until('it is of term 3', () => t.observe(leader).replica.position?.term === 3)
  expect(await t.rows(leader, "select to_regclass('phantom') as it")).toEqual([{ it: null }])
  expect(t.observe(leader).note).toMatch(/whose promotion never became durable/)
})

test.skipIf(process.getuid?.() !== 0)(
  'trap 24: a full disk is said by the probe, although every process lives',
  async () => {
    const mount = mkdtempSync(join(tmpdir(), 'understudy-small-'))
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=220m,mode=0755', 'tmpfs', mount])
    cleanUps.push(() => {
      execFileSync('umount', ['-l', mount])
      rmSync(mount, { recursive: true, force: true })
    })
    mkdirSync(join(mount, 'pg'))
    const t = await begin({
      data: { a: join(mount, 'pg', 'data') },
      options: { limits: { ...limits(), freeSpaceMb: 32 } },
    })
    await t.until('it is well', () => t.observe('a').health === 'healthy')
    // dd ends with an error when the disk is full: that is what it is for.
    spawnSync('dd', ['if=/dev/zero', `of=${join(mount, 'filler')}`, 'bs=1M', 'count=300'])
    await t.until('it is unhealthy', () => t.observe('a').health === 'unhealthy')
    expect(t.observe('a').note).toMatch(/only \d+ MB are free on the disk/)
    rmSync(join(mount, 'filler'))
    await t.until('it is well again', () => t.observe('a').health === 'healthy')
  },
)

test('trap 24: a primary whose disk takes no pledge ends leading all the same', async () => {
  const t = await begin()
  const inTheWay = `${join(t.root, 'a', 'instances', 'db', 'replica.json')}.${process.pid}.new`
  mkdirSync(inTheWay)
  await expect(t.driver('a').recruit(2)).rejects.toThrow(/EISDIR/)
  expect(t.observe('a').state).toBe('stopped')
  rmSync(inTheWay, { recursive: true })
  await t.driver('a').recruit(2)
  expect(t.observe('a').replica).toMatchObject({ pledged: 2, recruited: true })
})

function limits() {
  return { walKeepMb: 16, slotKeepMb: 64, freeSpaceMb: 32, discardedKept: 1, discardedMb: 64, logMb: 1, logFiles: 1 }
}

function shortMarks() {
  return {
    ...POSTGRES_DEFAULTS.timing,
    watchEveryMs: 100,
    fenceMs: 5_000,
    quorumRowMs: 700,
    startMs: 60_000,
    demoteMs: 2_000,
  }
}

function pause(ms: number): Promise<string> {
  return new Promise((resolve) => systemClock.after(ms, () => resolve('nothing')))
}
