/**
 * Tablespaces of users: cloned, rewound, backed up, restored, and never shared by two servers of one machine.
 *
 * Exercises: agent, api, cli, client, core, drivers/postgres, local, stores. Engines: postgresql.
 */
import { execFile } from 'node:child_process'
import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import { postgres } from '../../src/config/define.ts'
import { verifyBackup } from '../../src/drivers/postgres/copy/backup-files.ts'
import { takeWholeCopy } from '../../src/drivers/postgres/copy/bulk-work.ts'
import { giveOrder } from '../../src/drivers/postgres/copy/restore-backup.ts'
import { placeTablespaces } from '../../src/drivers/postgres/copy/tablespaces.ts'
import { takeBackup } from '../../src/drivers/postgres/copy/take-backup.ts'
import { Folder } from '../../src/drivers/postgres/files/replica-folder.ts'
import { replicationPurpose } from '../../src/drivers/postgres/replica-setup.ts'
import { accountFor } from '../../src/drivers/postgres/server/account.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { serviceOf, startCluster, type TestCluster } from './cluster.ts'
import { everyPostgres } from './engines.ts'
import { secretFor, Trio } from './postgres-trio.ts'

const MAIN = join(import.meta.dirname, '../../dist/cli/main.js')
const exec = promisify(execFile)
const clusters: TestCluster[] = []
const trios: Trio[] = []
const folders: string[] = []

afterEach(async () => {
  for (const cluster of clusters.splice(0)) await cluster.stop()
  for (const trio of trios.splice(0)) await trio.end()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

async function begin(bin: string | null): Promise<Trio> {
  const trio = new Trio({ bin })
  trios.push(trio)
  await trio.begin()
  return trio
}

/** Empty, and the server's own. */
function serversFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-tablespace-'))
  folders.push(folder)
  chmodSync(folder, 0o755)
  const account = accountFor(null)
  if (account) chownSync(folder, account.uid, account.gid)
  return folder
}

const PASSWORD = secretFor(replicationPurpose('db'))

/** The entry of its only tablespace in a node's data folder. */
function entryOf(t: Trio, node: string): string {
  const folder = join(t.dataOf(node), 'pg_tblspc')
  return join(folder, readdirSync(folder)[0] ?? 'none')
}

async function countOn(t: Trio, node: string): Promise<number> {
  return Number((await t.rows(node, 'select count(*) as it from kept'))[0]?.it)
}

async function untilAllHave(t: Trio, count: number): Promise<void> {
  for (const node of t.nodes) {
    await t.until(`${node} has ${count} rows`, async () => (await countOn(t, node).catch(() => -1)) === count, 60_000)
  }
}

async function makeInPlace(t: Trio): Promise<void> {
  const client = await t.connect('a')
  await client.query('set allow_in_place_tablespaces = on')
  await client.query("create tablespace fast location ''")
  await client.query('create table kept (id int) tablespace fast')
  await client.query('insert into kept select generate_series(1, 5000)')
  await client.end()
}

describe.each(everyPostgres)('PostgreSQL $name', ({ bin }) => {
  test('a tablespace in place is on every standby, in a copy made anew, and after a failover', async () => {
    const t = await begin(bin)
    await makeInPlace(t)
    await untilAllHave(t, 5_000)
    await t.driver('c').kill()
    rmSync(t.dataOf('c'), { recursive: true })
    await t.driver('c').follow(t.quorum(1, 'a'), t.address('a'))
    await untilAllHave(t, 5_000)
    expect(lstatSync(entryOf(t, 'c')).isDirectory()).toBe(true)
    await t.until('c counts', () => !t.observe('c').replica.quarantined)

    process.kill(t.pidOf('a'), 'SIGKILL')
    await t.until('the end is seen', () => t.observe('a').state === 'stopped')
    const { leader } = await t.failOver(2)
    await t.rows(leader, 'insert into kept select generate_series(5001, 6000)')
    await t.driver('a').follow(t.quorum(2, leader), t.address(leader))
    await untilAllHave(t, 6_000)
  })

  test('standbys on one machine leave the folder that the primary uses, and are copied with folders of their own', async () => {
    const t = await begin(bin)
    const location = serversFolder()
    await t.rows('a', `create tablespace fast location '${location}'`)
    await t.rows('a', 'create table kept (id int) tablespace fast')
    await Promise.all(
      ['b', 'c'].map(async (node) => {
        await t.until(`${node} has left`, () => t.observe(node).state === 'stopped')
        expect(t.observe(node).note).toMatch(/the primary on this machine uses its tablespace folder/)
        await t.driver(node).follow(t.quorum(1, 'a'), t.address('a'))
      }),
    )
    await t.rows('a', 'insert into kept select generate_series(1, 5000)')
    await untilAllHave(t, 5_000)
    expect(lstatSync(entryOf(t, 'a')).isSymbolicLink()).toBe(true)
    for (const node of ['b', 'c']) expect(lstatSync(entryOf(t, node)).isDirectory()).toBe(true)
    for (const node of ['b', 'c']) await t.until(`${node} counts`, () => !t.observe(node).replica.quarantined)

    process.kill(t.pidOf('a'), 'SIGKILL')
    await t.until('the end is seen', () => t.observe('a').state === 'stopped')
    const { leader } = await t.failOver(2)
    await t.rows(leader, 'insert into kept select generate_series(5001, 6000)')
    await t.driver('a').follow(t.quorum(2, leader), t.address(leader))
    await untilAllHave(t, 6_000)
    await t.until('all run', () => t.nodes.every((node) => t.observe(node).state === 'running'))
  })

  test('a backup has the tablespaces in it, and what is restored from it has them in place', async () => {
    const t = await begin(bin)
    const location = serversFolder()
    for (const node of ['b', 'c']) await t.driver(node).stop({ settleMs: 0, graceMs: 3_000 })
    const client = await t.connect('a')
    await client.query('set synchronous_commit = local')
    await client.query(`create tablespace fast location '${location}'`)
    await client.query('create table kept (id int) tablespace fast')
    await client.query('insert into kept select generate_series(1, 5000)')
    await client.end()
    const folder = join(mkdtempSync(join(tmpdir(), 'understudy-backup-')), 'monday')
    folders.push(join(folder, '..'))
    const signal = new AbortController().signal
    const source = { ...t.address('a'), role: 'primary' as const }
    const of = { cluster: 'test', service: 'db', clock: systemClock, progress: () => {}, signal }
    const record = await takeBackup({ ...of, source, primary: source, password: PASSWORD, folder })
    expect((await verifyBackup(folder)).complaints).toEqual([])

    const restored = new Trio({ bin, nodes: ['a'] })
    trios.push(restored)
    const place = new Folder(join(restored.root, 'a'), 'db', null, null)
    giveOrder(place, { from: folder, version: record.version, sums: record.sums })
    await restored.begin()
    expect(await countOn(restored, 'a')).toBe(5_000)
    expect(lstatSync(entryOf(restored, 'a')).isDirectory()).toBe(true)
    expect(readdirSync(location)).toHaveLength(1)
  })

  test('a copy on another machine links to the same path, and is refused while that folder cannot be used', async () => {
    const t = await begin(bin)
    const location = serversFolder()
    for (const node of ['b', 'c']) await t.driver(node).stop({ settleMs: 0, graceMs: 3_000 })
    const client = await t.connect('a')
    await client.query('set synchronous_commit = local')
    await client.query(`create tablespace fast location '${location}'`)
    await client.query('create table kept (id int) tablespace fast')
    await client.query('insert into kept select generate_series(1, 5000)')
    const [{ path = '' } = {}] = (await client.query("select pg_relation_filepath('kept') as path")).rows
    await client.end()
    const target = serversFolder()
    const elsewhere = serversFolder()
    await takeWholeCopy({
      from: t.address('a'),
      password: PASSWORD,
      connectMs: 5_000,
      silentMs: 60_000,
      signal: new AbortController().signal,
      version: Number((await t.rows('a', "select current_setting('server_version_num')::int / 10000 as v"))[0]?.v),
      target,
      manifest: false,
      progress: () => {},
      place: (list) => placeTablespaces(list, false).map((one) => ({ ...one, linkTo: elsewhere })),
    })
    const [, oid = '', ...rest] = String(path).split('/')
    expect(lstatSync(join(target, 'pg_tblspc', oid)).isSymbolicLink()).toBe(true)
    expect(existsSync(join(elsewhere, 'understudy-new', ...rest))).toBe(true)

    // 127.1 is this machine for the resolver, and another one for a program that only looks at the text.
    const far = { ...t.address('a'), host: '127.1' }
    rmSync(t.dataOf('c'), { recursive: true })
    mkdirSync(t.dataOf('c'))
    const before = readdirSync(location)
    await expect(t.driver('c').follow(t.quorum(1, 'a'), far)).rejects.toThrow(
      /tablespace fast needs the folder .* on this node: it holds PG_/,
    )
    expect(readdirSync(location)).toEqual(before)
  })

  test('a cluster with tablespaces becomes two replicas and three again, each with all of them', async () => {
    const db = postgres({
      ...(bin === null ? {} : { bin }),
      instances: 3,
      listen: 5432,
      settings: { shared_buffers: '16MB', max_connections: 40 },
    })
    const cluster = await startCluster(() => ({ db }))
    clusters.push(cluster)
    await untilReplicas(cluster, 3)
    const primary = (await cluster.service('db')).primary ?? ''
    const location = serversFolder()
    await onServer(cluster, primary, "set allow_in_place_tablespaces = on; create tablespace inside location ''")
    await onServer(cluster, primary, `create tablespace outside location '${location}'`)
    await onServer(cluster, primary, 'create table kept (id int) tablespace inside')
    await onServer(cluster, primary, 'create table kept_too (id int) tablespace outside')
    const nodes = cluster.spec.nodes.map(({ name }) => name)
    const isAlone = () => nodes.every((node) => node === primary || hasFoldersOfItsOwn(cluster, node))
    await expect.poll(isAlone, { timeout: 180_000 }).toBe(true)
    await untilReplicas(cluster, 3)
    await onServer(cluster, primary, fillBoth(1, 5_000))

    expect(await resize(cluster, '2', '--degrade', 'block')).toContain('db runs with 2 instances')
    await onServer(cluster, primary, fillBoth(5_001, 6_000))
    expect(await resize(cluster, '3')).toContain('db runs with 3 instances')
    await untilReplicas(cluster, 3)
    for (const node of nodes) {
      const rows = async () => {
        const { rows } = await onServer(
          cluster,
          node,
          'select (select count(*) from kept) + (select count(*) from kept_too) as n',
        )
        return Number(rows[0]?.n)
      }
      await expect.poll(rows, { timeout: 60_000 }).toBe(12_000)
    }
    expect(readdirSync(location)).toHaveLength(1) // of the primary alone
    const { primary: still } = await cluster.service('db')
    expect(still).toBe(primary)
  }, 600_000)
})

function fillBoth(from: number, to: number): string {
  return ['kept', 'kept_too'].map((name) => `insert into ${name} select generate_series(${from}, ${to})`).join('; ')
}

/** Has a standby two tablespaces, and both in folders of its own? */
function hasFoldersOfItsOwn(cluster: TestCluster, node: string): boolean {
  const folder = join(cluster.stateDir, 'nodes', node, 'instances', 'db', 'data', 'pg_tblspc')
  if (!existsSync(folder)) return false // being copied
  const entries = readdirSync(folder).map((name) => lstatSync(join(folder, name), { throwIfNoEntry: false }))
  return entries.length === 2 && entries.every((entry) => entry?.isDirectory())
}

function hasReplicas(status: Awaited<ReturnType<TestCluster['status']>>, count: number): boolean {
  const { healthy, quorum, redundancyState, instances } = serviceOf(status, 'db')
  return (
    healthy &&
    quorum?.standbys.length === count - 1 &&
    redundancyState.state === 'redundant' &&
    instances.filter((one) => one.healthy).length === count
  )
}

async function untilReplicas(cluster: TestCluster, count: number): Promise<void> {
  await cluster.until(`${count} replicas`, (status) => hasReplicas(status, count), 180_000)
}

/** As its superuser, over its own socket. */
async function onServer(cluster: TestCluster, node: string, text: string): Promise<pg.QueryResult> {
  const port = (await cluster.service('db')).instances.find((one) => one.node === node)?.port ?? 0
  const host = join(cluster.stateDir, 'nodes', node, 'instances', 'db', 'run')
  const client = new pg.Client({ host, port, user: 'postgres', database: 'postgres' })
  await client.connect()
  try {
    let last: pg.QueryResult | undefined
    // One at a time: a tablespace cannot be made in a transaction, which several statements at once are.
    for (const statement of text.split('; ')) last = await client.query(statement)
    if (!last) throw new Error('no statement')
    return last
  } finally {
    await client.end()
  }
}

async function resize(cluster: TestCluster, ...args: string[]): Promise<string> {
  const all = ['resize', 'db', ...args, '--timeout', '180s', '--state', cluster.stateDir]
  return (await exec(process.execPath, [MAIN, ...all])).stdout
}
