/**
 * A driver takes over a server that another driver started for another config, as it happens when the config of a running database
 * changes: what runs is found whatever the config says, nothing that was known is lost, and what a restart would change is told.
 *
 * Exercises: drivers/postgres. Engines: postgresql.
 */
import { afterEach, expect, test } from 'vitest'
import type { PostgresOptions } from '../../src/drivers/postgres/options.ts'
import { anyPostgres } from './engines.ts'
import { Trio } from './postgres-trio.ts'

let trio: Trio | undefined

afterEach(async () => {
  await trio?.end()
  trio = undefined
})

const SETTINGS = { shared_buffers: '16MB', max_connections: 40 }

/** `become` is what the next drivers are made for. */
async function begin(): Promise<{ readonly t: Trio; become(options: Partial<PostgresOptions>): void }> {
  const options: { -readonly [Name in keyof PostgresOptions]?: PostgresOptions[Name] } = { settings: SETTINGS }
  const t = new Trio({ ...anyPostgres, options })
  trio = t
  await t.begin()
  return { t, become: (other) => void Object.assign(options, other) }
}

test('a primary serves on: healthy, with its quorum, and what needs a restart is known at once', async () => {
  const { t, become } = await begin()
  const pid = t.pidOf('a')
  await t.rows('a', 'alter system set huge_pages = off')
  become({ settings: { ...SETTINGS, max_connections: 60, work_mem: '8MB' } })
  await t.restartAgent('a')
  const why = 'max_connections needs a restart (40 → 60)'
  expect(t.observe('a')).toMatchObject({ pid, role: 'primary', health: 'healthy', outdated: { why, needs: 'restart' } })
  expect(t.observe('a').replica.quorumDurable).toBe(true)
  expect(await t.rows('a', "select current_setting('work_mem') as it")).toEqual([{ it: '8MB' }])
  become({ settings: { ...SETTINGS, max_connections: 30 } })
  await t.restartAgent('a')
  expect(t.observe('a').outdated).toEqual({ why: 'max_connections needs a restart (40 → 30)', needs: 'in-place' })
  await t.restartAgent('b')
  expect(t.observe('b').outdated).toBeUndefined()
  become({ settings: SETTINGS })
  await t.restartAgent('a')
  expect(t.observe('a').outdated).toBeUndefined()
}, 120_000)

test('a replica that was recruited still is, where it was', async () => {
  const { t, become } = await begin()
  await t.driver('b').recruit(2)
  const { position } = t.observe('b').replica
  become({ settings: { ...SETTINGS, work_mem: '8MB' } })
  await t.restartAgent('b')
  expect(t.observe('b').replica).toMatchObject({ recruited: true, pledged: 2, position, receivingFrom: null })
}, 120_000)

test('another port is taken at the next start, and the server is found until then', async () => {
  const { t, become } = await begin()
  const before = t.observe('b')
  const port = before.port + 1
  become({ port })
  await t.restartAgent('b')
  expect(t.observe('b')).toMatchObject({ pid: before.pid, port: before.port, health: 'healthy' })
  expect(t.observe('b').outdated?.why).toBe(`its port needs a restart (${before.port} → ${port})`)
  await t.driver('b').stop({ settleMs: 0, graceMs: 3_000, drains: true })
  await t.driver('b').follow(t.quorum(1, 'a'), t.address('a'))
  expect(t.observe('b').port).toBe(port)
  await t.until('it is as the config says', () => t.observe('b').outdated === undefined)
}, 120_000)

test('another data folder and programs that are not there change nothing: a sentence says so', async () => {
  const { t, become } = await begin()
  const { pid } = t.observe('b')
  become({ data: `${t.root}/elsewhere/{node}`, bin: `${t.root}/no-programs` })
  await t.restartAgent('b')
  expect(t.observe('b')).toMatchObject({ pid, role: 'standby', health: 'healthy' })
  expect(t.observe('b').note).toMatch(/its data is in .*\/b\/instances\/db\/data, not in .*elsewhere\/b/)
  expect(t.observe('b').note).toMatch(/no-programs .*; it goes on with /)
  await t.driver('b').kill()
  await t.driver('b').follow(t.quorum(1, 'a'), t.address('a'))
  await t.until('it streams again', () => t.observe('b').replica.receivingFrom === 'a')
}, 120_000)

test('a primary that is to return waits for an open transaction, and goes on where one does not end', async () => {
  const { t } = await begin()
  const client = await t.connect('a')
  await client.query('create table t (n int); begin; insert into t values (1)')
  const stop = () => t.driver('a').stop({ settleMs: 0, graceMs: 3_000, drains: true })
  await expect(stop()).rejects.toMatchObject({ code: 'UND_TIMED_OUT' })
  expect(t.observe('a')).toMatchObject({ state: 'running', role: 'primary' })
  await client.query('commit')
  await stop()
  expect(t.observe('a')).toMatchObject({ state: 'stopped', failures: 0, term: 1 })
  await t.driver('a').start({ role: 'primary', term: 1 })
  expect(await t.rows('a', 'select n from t')).toEqual([{ n: 1 }])
}, 120_000)
