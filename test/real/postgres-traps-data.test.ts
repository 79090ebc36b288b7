/**
 * More traps of promoting PostgreSQL, each against real servers: those about what a copy may lack, keep, or be made of
 * (docs/safety.md has the table of all of them).
 *
 * Exercises: drivers/postgres. Engines: postgresql of the system.
 */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import pg from 'pg'
import { afterEach, expect, test } from 'vitest'
import { furthest } from '../../src/core/replicated/quorum.ts'
import { POSTGRES_DEFAULTS } from '../../src/drivers/postgres/options.ts'
import { ShortCable } from '../support/short-cable.ts'
import { systemPostgres } from './engines.ts'
import { type Choice, Ledger, Trio } from './postgres-trio.ts'

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

/** A folder with the system's programs, and a pg_rewind that does what `script` says; `$REAL` is the true one. */
function withRewind(script: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-bin-'))
  cleanUps.push(() => rmSync(folder, { recursive: true, force: true }))
  chmodSync(folder, 0o755)
  const bin = systemPostgres ?? ''
  for (const name of ['postgres', 'initdb', 'pg_waldump', 'pg_controldata'])
    symlinkSync(join(bin, name), join(folder, name))
  writeFileSync(join(folder, 'pg_rewind'), `#!/bin/sh\nREAL=${bin}/pg_rewind\n${script}\n`, { mode: 0o755 })
  return folder
}

interface Diverged extends Choice {
  /** What was acknowledged before. */
  readonly ledger: Ledger
}

/** `a` led and holds a row that no standby acknowledged; another one is primary in term 2, and the third follows it. */
async function divergedA(t: Trio): Promise<Diverged> {
  const writer = await t.connect('a')
  const ledger = await Ledger.prepare(writer)
  ledger.begin(writer)
  await t.until('some rows', () => ledger.acknowledged.length > 50)
  await ledger.stop()
  await t.choose(2)
  writer.query('insert into ledger (id) values (-7)').catch(() => {}) // its server is ended while it waits
  await t.until('it waits', async () => {
    const waits = "select 1 from pg_stat_activity where wait_event = 'SyncRep' and query like 'insert into ledger%'"
    return (await t.rows('a', waits)).length === 1
  })
  return { ledger, ...(await t.failOver(2)) }
}

test.skipIf(!systemPostgres)(
  'trap 22: a pg_rewind that fails half way is followed by a copy: nothing of the half is used',
  async () => {
    // It tears the folder, as one that was interrupted would have: pages are gone, and the control file is the old one.
    const bin = withRewind('rm -f "$2"/base/*/pg_filenode.map; echo "pg_rewind: error: the disk gave up" >&2; exit 1')
    const t = await begin({ bin })
    const { ledger, leader, quorum } = await divergedA(t)
    await t.driver('a').follow(quorum, t.address(leader))
    await t.until('it counts again', () => !t.observe('a').replica.quarantined)
    expect(await ledger.lost(await t.connect('a'))).toEqual([])
    expect(await t.rows('a', 'select 1 from ledger where id = -7')).toEqual([])
  },
)

test.skipIf(!systemPostgres)(
  'trap 22: an agent that dies within pg_rewind: the next one neither starts nor rewinds the half, but copies',
  async () => {
    const bin = withRewind('rm -f "$2"/base/*/pg_filenode.map; exec sleep 1000')
    const t = await begin({ bin })
    const { ledger, leader, other, quorum } = await divergedA(t)
    const following = t.driver('a').follow(quorum, t.address(leader))
    following.catch(() => {}) // its agent dies
    await t.until('the rewind to tear the folder', () => {
      const base = join(t.dataOf('a'), 'base')
      return readdirSync(base).every((name) => !existsSync(join(base, name, 'pg_filenode.map')))
    })
    await t.restartAgent('a')
    // Its process would be dead. Here it lives on in this one: it gives up after a moment, and clears away what the next would copy.
    await following.catch(() => {})
    // Asked to fence itself it has nothing to say: what is there is of two histories.
    await t.driver('a').recruit(3)
    expect(t.observe('a')).toMatchObject({ state: 'stopped', replica: { recruited: true, position: null } })
    await expect(t.driver('a').start({ role: 'standby', term: 0 })).rejects.toMatchObject({ code: 'UND_REFUSED' })
    await Promise.all([leader, other].map((node) => t.driver(node).recruit(3)))
    const next = t.quorum(3, leader)
    await t.enact(next, other)
    await t.driver('a').follow(next, t.address(leader))
    await t.until('it counts again', () => !t.observe('a').replica.quarantined)
    expect(await ledger.lost(await t.connect('a'))).toEqual([])
  },
  180_000,
)

test.skipIf(!systemPostgres)(
  'trap 22: a pg_rewind that does not get on holds up no failover: recruiting ends it, and a copy follows',
  async () => {
    const t = await begin({ bin: withRewind('exec sleep 1000') }) // its source is frozen
    const { ledger, leader, other, quorum } = await divergedA(t)
    const following = t.driver('a').follow(quorum, t.address(leader))
    following.catch(() => {}) // called off below
    await t.until('the rewind', () => t.observe('a').note.startsWith('rewinding') && t.observe('a').state === 'stopped')
    const began = performance.now()
    await Promise.all(t.nodes.map((node) => t.driver(node).recruit(3)))
    expect(performance.now() - began).toBeLessThan(10_000)
    expect(t.observe('a').replica).toMatchObject({ recruited: true, position: null })
    // It was in the only quorum that term 2 had, so it has all of it.
    await t.enact(t.quorum(3, other), 'a')
    await t.until('it counts again', () => !t.observe('a').replica.quarantined)
    expect(await ledger.lost(await t.connect('a'))).toEqual([])
  },
  180_000,
)

test('a copy whose source falls silent is begun anew, and nothing of it stays', async () => {
  const t = await begin({ options: { timing: { ...POSTGRES_DEFAULTS.timing, copySilentMs: 5_000 } } })
  await t.driver('c').kill()
  rmSync(t.dataOf('c'), { recursive: true })
  const cable = await ShortCable.to(t.observe('a').port, 5_000_000)
  cleanUps.push(() => cable.cut())
  const said = 'a, which is being copied, has said nothing for too long'
  const silent = { ...t.address('a'), port: cable.port }
  await expect(t.driver('c').follow(t.quorum(1, 'a'), silent)).rejects.toMatchObject({ code: 'UND_TIMED_OUT' })
  expect(cable.isUsedUp).toBe(true)
  expect(t.observe('c').note).toContain(said)
  const isOpen = (fd: string) => {
    return existsSync(`/proc/self/fd/${fd}`) && readlinkSync(`/proc/self/fd/${fd}`).includes(`${t.root}/c/instances`)
  }
  expect(readdirSync(dirname(t.dataOf('c'))).filter((name) => name.startsWith('data'))).toEqual([])
  await t.until('no file of it is open', () => !readdirSync('/proc/self/fd').some(isOpen))
  await t.driver('c').follow(t.quorum(1, 'a'), t.address('a'))
  await t.until('it counts', () => !t.observe('c').replica.quarantined)
})

test('trap 23: the slot of a dead standby is bounded, and that standby is copied anew when what it needs is gone', async () => {
  const t = await begin({
    options: {
      limits: { ...POSTGRES_DEFAULTS.limits, slotKeepMb: 24, walKeepMb: 8, freeSpaceMb: 32 },
      // Autovacuum would write as much again with nothing waiting for b, and b could be given up, too.
      settings: { ...SETTINGS, max_wal_size: '16MB', min_wal_size: '8MB', autovacuum: 'off' },
    },
  })
  // As often as it can, c will seem to stream for a moment: until the primary says that it has not got that log any more.
  await t.rows('c', "alter system set wal_retrieve_retry_interval = '1ms'")
  await t.driver('c').kill()
  const writer = await t.connect('a')
  await writer.query('create table big (text text)')
  for (let round = 0; round < 8; round += 1) {
    await writer.query('insert into big select repeat(md5(n::text), 40) from generate_series(1, 6000) n')
    await writer.query('checkpoint')
  }
  const [slot] = await t.rows('a', "select wal_status from pg_replication_slots where slot_name = 'understudy_c'")
  expect(slot?.wal_status).toBe('lost')
  const [kept] = await t.rows('a', 'select sum(size)::float8 / 1048576 as mb from pg_ls_waldir()')
  expect(Number(kept?.mb)).toBeLessThan(24 + 16 + 16)
  await t.driver('c').follow(t.quorum(1, 'a'), t.address('a'))
  await t.until('it counts again', () => !t.observe('c').replica.quarantined)
  expect(await t.rows('c', 'select count(*)::int as it from big')).toEqual([{ it: 48_000 }])
  await t.until('it streams', () => t.observe('c').replica.receivingFrom === 'a')
}, 180_000)

test('trap 23: after a promotion every replica has a slot on the new primary, also for the old one', async () => {
  const t = await begin()
  await t.driver('a').kill()
  const { leader, other } = await t.failOver(2)
  const names = async () =>
    (await t.rows(leader, 'select slot_name as it from pg_replication_slots order by 1')).map((row) => row.it)
  await t.until('slots for both', async () => (await names()).join() === `understudy_a,understudy_${other}`)
})

test('trap 23: a replica that has no slot on the primary asks for one, instead of saying that it follows', async () => {
  const t = await begin()
  await t.driver('c').kill()
  await t.untilMissed('c')
  await t.rows('a', "select pg_drop_replication_slot('understudy_c')")
  await t.driver('c').follow(t.quorum(1, 'a'), t.address('a'))
  await t.until('it streams', () => t.observe('c').replica.receivingFrom === 'a')
  const slots = await t.rows('a', "select active as it from pg_replication_slots where slot_name = 'understudy_c'")
  expect(slots).toEqual([{ it: true }])
})

test('trap 6: only a replica can stream under the name of a replica', async () => {
  const t = await begin()
  await t.rows('a', "create role thief login replication password 'x'")
  const { port } = t.observe('a')
  const account = { host: '127.0.0.1', port, user: 'thief', password: 'x', application_name: 'b' }
  const client = new pg.Client({ ...account, ...({ replication: 'true' } as object) })
  client.on('error', () => {})
  await expect(client.connect()).rejects.toMatchObject({ code: '28000' })
  const [row] = await t.rows('a', 'show synchronous_standby_names')
  expect(row?.synchronous_standby_names).toBe('ANY 1 ("b", "c")')
  const names = await t.rows('a', 'select application_name as it from pg_stat_replication order by 1')
  expect(names.map((one) => one.it)).toEqual(['b', 'c'])
})

test('trap 10: with no standby left writes wait, and the rule stays as it is', async () => {
  const t = await begin()
  await Promise.all([t.driver('b').kill(), t.driver('c').kill()])
  const writer = await t.connect('a')
  const write = writer.query('create table waits ()').then(() => 'acknowledged')
  write.catch(() => {}) // its server may be killed in the end
  const waits = "select 1 from pg_stat_activity where wait_event = 'SyncRep' and query like 'create table waits%'"
  await t.until('it waits', async () => (await t.rows('a', waits)).length === 1)
  await t.restartAgent('a') // a new agent that sees no standby stream does not know better
  expect(await t.rows('a', 'show synchronous_standby_names')).toEqual([
    { synchronous_standby_names: 'ANY 1 ("b", "c")' },
  ])
  expect(await t.rows('a', waits)).toHaveLength(1)
  await t.driver('b').follow(t.quorum(1, 'a'), t.address('a'))
  expect(await write).toBe('acknowledged')
})

test('trap 12: a role that asked to be acknowledged earlier is named for as long as it does', async () => {
  const t = await begin()
  const note = () => t.observe('a').note
  await t.until('it is well', () => t.observe('a').health === 'healthy' && note() === '')
  await t.rows('a', 'create role hasty login; alter role hasty set synchronous_commit = off')
  await t.until('it is named', () => note() === 'acknowledged before a standby has it: what hasty writes')
  expect(t.observe('a').health).toBe('healthy')
  await t.rows('a', 'alter role hasty reset synchronous_commit')
  await t.until('nothing to be named', () => note() === '')
})

test('trap 13: what a standby shows may vanish when it was not acknowledged; it is kept and named', async () => {
  const t = await begin()
  await t.driver('a').changeQuorum(t.quorum(1, 'a', { k: 2, id: 'both' }))
  const writer = await t.connect('a')
  const ledger = await Ledger.prepare(writer)
  await t.driver('c').kill() // both must confirm, so nothing is acknowledged from here on
  let acknowledged = false
  writer.query('insert into ledger (id) values (13)').then(
    () => {
      acknowledged = true
    },
    () => {}, // its server is killed while it waits
  )
  await t.until('b shows it', async () => (await t.rows('b', 'select 1 from ledger where id = 13')).length === 1)
  await Promise.all([t.driver('a').kill(), t.driver('b').kill()])
  await t.driver('c').recruit(2) // one of two is enough where both must confirm
  const quorum = t.quorum(2, 'c', { k: 1, standbys: ['b'] })
  await t.enact(quorum, 'b')
  expect(acknowledged).toBe(false)
  expect(await ledger.lost(await t.connect('c'))).toEqual([])
  for (const node of ['b', 'c']) expect(await t.rows(node, 'select 1 from ledger where id = 13')).toEqual([])
  expect(t.observe('b').note).toMatch(/gave up \d+ bytes of log/)
}, 120_000)

test('trap 19: a longer log of an older term loses against a shorter one of a newer term', async () => {
  const t = await begin()
  const writer = await t.connect('a')
  await Ledger.prepare(writer)
  await t.choose(2)
  // Much that will never be acknowledged: the old primary's WAL is by far the longest.
  await writer.query('set synchronous_commit = local')
  await writer.query('insert into ledger (id) select generate_series(1000, 40000)')
  const { leader } = await t.failOver(2)
  await Promise.all(['a', 'b', 'c'].map((node) => t.driver(node).recruit(3)))
  const recruited = ['a', 'b', 'c'].map((node) => {
    const { position } = t.observe(node).replica
    if (!position) throw new Error(`${node} says nothing`)
    return { node, position }
  })
  const log = (node: string) => BigInt(recruited.find((one) => one.node === node)?.position.log ?? '0')
  expect(log('a') > log(leader)).toBe(true)
  expect(furthest(recruited).map(({ node }) => node)).not.toContain('a')
})

test('trap 19: a copy that was catching up does not call what it has newer than it is', async () => {
  const t = await begin()
  await t.driver('c').kill()
  await t.untilAsFarAs('b', 'a')
  // All of term 2 without c: what is acknowledged in it is on b and a.
  await Promise.all(['a', 'b'].map((node) => t.driver(node).recruit(2)))
  await t.enact(t.quorum(2, 'b'), 'a')
  const writer = await t.connect('b')
  const ledger = await Ledger.prepare(writer)
  await writer.query('create table filler (it text)')
  await writer.query('alter table filler alter it set storage external') // not compressed: 60 MB
  await writer.query('insert into filler select repeat(md5(n::text), 200) from generate_series(1, 9000) n')
  ledger.begin(writer)
  await t.until('some rows', () => ledger.acknowledged.length > 50)
  await ledger.stop()
  // In term 3 c follows a, of which it hears no more in the middle of what was written in term 2.
  await Promise.all(t.nodes.map((node) => t.driver(node).recruit(3)))
  const quorum = t.quorum(3, 'a')
  t.driver('a')
    .promoteReplica(quorum)
    .catch(() => {})
  const cable = await ShortCable.to(t.observe('a').port, 20_000_000)
  cleanUps.push(() => cable.cut())
  t.driver('c')
    .follow(quorum, { ...t.address('a'), port: cable.port })
    .catch(() => {})
  await t.until('c got a part of it', () => cable.isUsedUp)
  await Promise.all(['b', 'c'].map((node) => t.driver(node).recruit(4)))
  const recruited = ['b', 'c'].map((node) => ({ node, position: t.observe(node).replica.position }))
  const [ofB, ofC] = recruited.map(({ position }) => position)
  expect(ofC?.timeline).toBe(2) // else it shows nothing
  expect(BigInt(ofC?.log ?? 0) < BigInt(ofB?.log ?? 0)).toBe(true)
  expect(furthest(recruited as Parameters<typeof furthest>[0]).map(({ node }) => node)).toEqual(['b'])
})

test('trap 20: a replica gives WAL to others while it leads, and at no other time', async () => {
  const t = await begin()
  await t.driver('c').kill()
  await t.untilAsFarAs('b', 'a')
  await Promise.all(['a', 'b'].map((node) => t.driver(node).recruit(2)))
  await t.enact(t.quorum(2, 'b'), 'a')
  // It was told to follow a, the primary of then; what a has now may be of a promotion that never becomes durable.
  await t.driver('c').start({ role: 'standby', term: 0 })
  await t.until('it has tried', () => {
    return readFileSync(t.logOf('c'), 'utf8').includes('pg_hba.conf rejects replication connection')
  })
  await t.driver('c').recruit(2)
  expect(t.observe('c').replica.position).toMatchObject({ term: 1, timeline: 1 })
  await t.driver('c').follow(t.quorum(2, 'b'), t.address('b'))
  await t.until('it streams', () => t.observe('c').replica.receivingFrom === 'b')
})

test('trap 25: an archive gets the history and every segment of the new timeline, and nothing is overwritten', async () => {
  const archive = mkdtempSync(join(tmpdir(), 'understudy-archive-'))
  chmodSync(archive, 0o777)
  cleanUps.push(() => rmSync(archive, { recursive: true, force: true }))
  mkdirSync(join(archive, 'wal'), { mode: 0o777 })
  chmodSync(join(archive, 'wal'), 0o777)
  const command = `test ! -f ${archive}/wal/%f && cp %p ${archive}/wal/%f.new && mv ${archive}/wal/%f.new ${archive}/wal/%f`
  const settings = { ...SETTINGS, archive_mode: 'on', archive_command: command }
  const t = await begin({ options: { settings } })
  const { ledger, leader, quorum } = await divergedA(t)
  await t.driver('a').follow(quorum, t.address(leader))
  await t.rows(leader, 'select pg_switch_wal()')
  await ledger.stop()
  const archived = () => readdirSync(join(archive, 'wal'))
  await t.until('the history of timeline 2', () => archived().includes('00000002.history'))
  await t.until('a segment of timeline 2', () => archived().some((name) => /^00000002[0-9A-F]{16}$/.test(name)))
  const [row] = await t.rows(leader, 'select failed_count::int as failed, last_failed_wal as wal from pg_stat_archiver')
  expect(row).toEqual({ failed: 0, wal: null })
  // The last segment of the old timeline is complete on no node: the new primary archives its part under another name.
  expect(archived().some((name) => /^00000001[0-9A-F]{16}\.partial$/.test(name))).toBe(true)
}, 120_000)

test('trap 26: time-outs of streams are those of a failover, on every replica', async () => {
  const t = await begin()
  for (const node of t.nodes) {
    const [row] = await t.rows(
      node,
      `select current_setting('wal_receiver_timeout') as receiver, current_setting('wal_sender_timeout') as sender`,
    )
    expect(row).toEqual({ receiver: '3s', sender: '3s' })
  }
})
