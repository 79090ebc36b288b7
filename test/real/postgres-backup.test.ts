/**
 * A backup of a running database, and a new cluster that begins with it: everything that was acknowledged before the backup
 * is there, the followers copy it, and a failover works afterwards. On both versions of PostgreSQL that are here.
 *
 * Exercises: api, balancer, cli, client, drivers/postgres, drivers/process, local, stores. Engines: postgresql.
 */
import { execFile } from 'node:child_process'
import { appendFileSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import type { Status } from '../../src/api/api-types.ts'
import { postgres } from '../../src/config/define.ts'
import { type Prepared, serviceOf, startCluster, type TestCluster, untilPrimaryPid } from './cluster.ts'
import { BalancerWriter } from './postgres-writer.ts'

const LISTEN = 5432
const MAIN = join(import.meta.dirname, '../../dist/cli/main.js')
const exec = promisify(execFile)
const running: TestCluster[] = []
const writers: BalancerWriter[] = []
const folders: string[] = []

afterEach(async () => {
  for (const cluster of running.splice(0)) await cluster.stop()
  for (const writer of writers.splice(0)) await writer.stop()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

describe.each([
  ['the system’s PostgreSQL', undefined],
  ['the packaged PostgreSQL', 'npm'],
] as const)('%s', (_, bin) => {
  test('a backup under load is whole, and a new cluster begins with it and fails over', async () => {
    const cluster = await begin(bin)
    const writer = await write(cluster)
    const acknowledged = [...writer.acknowledged]
    const folder = join(emptyFolder(), 'monday')
    const told = await understudy('backup', 'db', '--to', folder, '--state', cluster.stateDir)
    expect(told).toMatch(/from . \(standby\)/)
    expect(existsSync(`${folder}.partial`)).toBe(false)
    expect(await understudy('backup', 'verify', folder)).toMatch(/is whole/)
    await expect(understudy('backup', 'db', '--to', folder, '--state', cluster.stateDir)).rejects.toThrow(/not empty/)
    await exec('sha256sum', ['--check', '--quiet', 'SHA256SUMS'], { cwd: folder })
    await cluster.stop()
    running.splice(0)

    const restored = await begin(bin, (place) => restore(place, folder))
    const rows = await ids(restored)
    expect(acknowledged.filter((id) => !rows.has(id))).toEqual([])
    const second = await write(restored)
    process.kill(await untilPrimaryPid(restored, 'db'), 'SIGKILL')
    await second.untilAcknowledged(50)
    await restored.until('all are well again', isWhole, 60_000)
    expect(await second.lost()).toEqual([])
    expect(acknowledged.filter((id) => !rows.has(id))).toEqual([])
  }, 180_000)
})

test('psql comes in by an endpoint and over the socket; a backup that was changed afterwards is found out, and neither verified nor restored', async () => {
  const cluster = await begin(undefined)
  await write(cluster)
  const psql = (...args: string[]) => understudy('psql', 'db', '--state', cluster.stateDir, ...args)
  expect(await psql('--print-url')).toMatch(/^postgresql:\/\/shop@127\.\S+:5432\/shop\n$/)
  expect(await psql('--', '-Atc', 'select count(*) >= 50, pg_is_in_recovery() from ledger')).toBe('t|f\n')
  expect(await psql('--standby', '--', '-Atc', 'select pg_is_in_recovery()')).toBe('t\n')
  await expect(psql('--', '-c', 'select 1/0', '-v', 'ON_ERROR_STOP=1')).rejects.toThrow(/division by zero/)
  const asks = ['--', '-Atc', 'select current_user, pg_is_in_recovery(), inet_server_addr() is null']
  expect(await psql('--superuser', ...asks), 'over the socket of the primary').toBe('postgres|f|t\n')
  const { instances } = await cluster.service('db')
  for (const { node, role } of instances) {
    const isStandby = role === 'primary' ? 'f' : 't'
    expect(await psql('--superuser', '--node', node, ...asks)).toBe(`postgres|${isStandby}|t\n`)
  }
  const folder = join(emptyFolder(), 'monday')
  await understudy('backup', 'db', '--to', folder, '--state', cluster.stateDir)
  appendFileSync(join(folder, 'data', 'PG_VERSION'), ' ')
  writeFileSync(join(folder, 'data', 'stray'), '')
  rmSync(join(folder, 'data', 'backup_label'))
  const complaint = await understudy('backup', 'verify', folder).catch(({ stdout, code }) => `${code}: ${stdout}`)
  expect(complaint).toMatch(/^1: /)
  for (const what of ['PG_VERSION is damaged', 'stray was not there', 'backup_label is missing'])
    expect(complaint).toContain(what)
  const config = join(emptyFolder(), 'understudy.config.json')
  writeFileSync(config, JSON.stringify({ name: 'test', nodes: { a: {}, b: {}, c: {} }, services: services(undefined) }))
  const state = join(emptyFolder(), 'state')
  const restoring = understudy('restore', 'db', '--from', folder, '--config', config, '--state', state)
  await expect(restoring).rejects.toThrow(/not whole/)
}, 120_000)

async function restore({ raw, folder, stateDir }: Prepared, from: string): Promise<void> {
  const config = join(folder, 'understudy.config.json')
  writeFileSync(config, JSON.stringify(raw))
  const order = ['restore', 'db', '--from', from, '--config', config, '--state', stateDir]
  expect(await understudy(...order)).toMatch(/“understudy up” creates/)
}

async function understudy(...args: string[]): Promise<string> {
  return (await exec(process.execPath, [MAIN, ...args], { env: { ...process.env, NO_COLOR: '1' } })).stdout
}

function services(bin: string | undefined) {
  return {
    db: postgres({
      instances: 3,
      listen: LISTEN,
      listenStandby: 5433,
      database: { name: 'shop', owner: 'shop', password: 'first' },
      settings: { shared_buffers: '16MB', max_connections: 40 },
      ...(bin === undefined ? {} : { bin }),
    }),
  }
}

async function begin(bin: string | undefined, prepare?: (place: Prepared) => Promise<void>): Promise<TestCluster> {
  const cluster = await startCluster(() => services(bin), prepare ? { prepare } : {})
  running.push(cluster)
  await cluster.until('a primary and two standbys, all of them well', isWhole, 60_000)
  return cluster
}

function isWhole(status: Status): boolean {
  const { healthy, instances } = serviceOf(status, 'db')
  return healthy && instances.filter((instance) => instance.healthy).length === 3
}

async function write(cluster: TestCluster): Promise<BalancerWriter> {
  const writer = new BalancerWriter(target(cluster))
  writers.push(writer)
  await writer.begin()
  await writer.untilAcknowledged(50)
  return writer
}

async function ids(cluster: TestCluster): Promise<Set<number>> {
  const client = new pg.Client(target(cluster))
  await client.connect()
  const { rows } = await client.query('select id::int from ledger')
  await client.query('alter table ledger rename to ledger_before')
  await client.end()
  return new Set(rows.map(({ id }) => id as number))
}

function target(cluster: TestCluster) {
  const host = cluster.spec.nodes[0]?.address ?? ''
  return { host, port: LISTEN, user: 'shop', password: 'first', database: 'shop' }
}

function emptyFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-backup-'))
  folders.push(folder)
  return folder
}
