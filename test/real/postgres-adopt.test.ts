/**
 * A PostgreSQL that another tool made and runs, with data, settings and a client: it is taken over as the first copy, the others
 * clone it, and a failover works afterwards.
 *
 * Exercises: api, balancer, client, drivers/postgres, local, stores. Engines: postgresql.
 */
import { execFileSync, spawn } from 'node:child_process'
import { appendFileSync, chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterEach, expect, test } from 'vitest'
import { accountFor } from '../../src/drivers/postgres/server/account.ts'
import { findProgram } from '../../src/drivers/postgres/server/binaries.ts'
import { systemClock as clock } from '../../src/lib/clock.ts'
import { until } from '../../src/lib/until.ts'
import { Trio } from './postgres-trio.ts'

const cleanUps: (() => Promise<void> | void)[] = []

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

test('a running primary with data and a client is taken over: rows, settings and entries are kept, and it fails over', async () => {
  const theirs = await somebodysServer()
  await theirs.query('create table orders as select n as id from generate_series(1, 1000) as n')
  await theirs.query("create role clerk login password 'ink'")
  const systemId = (await theirs.query('select system_identifier::text as id from pg_control_system()')).rows[0].id

  const trio = new Trio({ data: { a: theirs.data }, options: { adopt: true } })
  cleanUps.push(() => trio.end())
  for (const node of trio.nodes) await trio.driver(node).adopt()
  expect(trio.observe('a')).toMatchObject({ state: 'stopped', replica: { position: { term: 0 } } })
  expect((await theirs.query('select 1 as one')).rows, 'nothing has been touched yet').toEqual([{ one: 1 }])

  await trio.begin()
  for (const node of ['a', 'b', 'c']) {
    expect(await trio.rows(node, 'select count(*)::int as orders from orders')).toEqual([{ orders: 1_000 }])
    expect(await trio.rows(node, 'show work_mem')).toEqual([{ work_mem: '7MB' }])
    expect(await trio.rows(node, 'select system_identifier::text as id from pg_control_system()')).toEqual([
      { id: systemId },
    ])
  }
  const entries = await trio.rows('a', "select user_name from pg_hba_file_rules where '{clerk}' = user_name")
  expect(entries).toHaveLength(1)

  await trio.driver('a').kill()
  const { leader } = await trio.failOver(2)
  expect(await trio.rows(leader, 'select count(*)::int as orders from orders')).toEqual([{ orders: 1_000 }])
  await trio.rows(leader, 'insert into orders values (1001)')
}, 120_000)

test('a standby of a foreign primary is refused, and left running', async () => {
  const theirs = await somebodysServer()
  execFileSync('touch', [join(theirs.data, 'standby.signal')])
  const trio = new Trio({ data: { a: theirs.data }, options: { adopt: true } })
  cleanUps.push(() => trio.end())
  for (const node of trio.nodes) await trio.driver(node).adopt()
  await expect(trio.driver('a').create(trio.quorum(1, 'a'))).rejects.toThrow(/it is a standby; take over its primary/)
  expect((await theirs.query('select 1 as one')).rows).toEqual([{ one: 1 }])
}, 60_000)

interface Theirs {
  readonly data: string
  query(text: string): Promise<pg.QueryResult>
}

/** Made by initdb and started by hand, as the account that servers run as here. */
async function somebodysServer(): Promise<Theirs> {
  const root = mkdtempSync(join(tmpdir(), 'understudy-theirs-'))
  cleanUps.push(() => rmSync(root, { recursive: true, force: true }))
  const data = join(root, 'data')
  const account = accountFor(null)
  mkdirSync(data)
  for (const folder of [root, data]) chmodSync(folder, 0o755)
  if (account) execFileSync('chown', ['-R', `${account.uid}:${account.gid}`, root])
  const [initdb, postgres] = ['initdb', 'postgres'].map((name) => findProgram(name, null) ?? name)
  const as = { cwd: data, ...(account ?? {}) }
  execFileSync(initdb ?? '', ['-D', data, '-U', 'postgres', '--auth', 'trust', '--no-sync'], { ...as, stdio: 'ignore' })
  appendFileSync(join(data, 'postgresql.conf'), "work_mem = '7MB'\nlisten_addresses = ''\nshared_buffers = '16MB'\n")
  appendFileSync(join(data, 'pg_hba.conf'), 'host all clerk 127.0.0.1/32 scram-sha-256\n')
  const server = spawn(postgres ?? '', ['-D', data, '-k', root], { ...as, stdio: 'ignore' })
  cleanUps.push(() => void server.kill('SIGKILL'))
  const client = await until({ clock, everyMs: 50, withinMs: 30_000, what: 'their server' }, async () => {
    const fresh = new pg.Client({ host: root, port: 5432, user: 'postgres', database: 'postgres' })
    fresh.on('error', () => {}) // it is cut when the server is taken over
    return fresh.connect().then(
      () => fresh,
      () => null,
    )
  })
  cleanUps.push(() => client.end().catch(() => {})) // it may be cut already
  return { data, query: (text) => client.query(text) }
}
