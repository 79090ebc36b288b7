/**
 * Two nodes: the one that leads waits for the other to confirm its first row, and the other has to rewind first, which waits for
 * a checkpoint of the new timeline. PostgreSQL's own is spread over minutes when much is dirty; no failover may wait for that.
 *
 * Exercises: drivers/postgres. Engines: postgresql of the system.
 */
import { afterEach, expect, test } from 'vitest'
import { systemPostgres } from './engines.ts'
import { Trio } from './postgres-trio.ts'

let trio: Trio | undefined

afterEach(async () => {
  await trio?.end()
  trio = undefined
})

test.skipIf(!systemPostgres)('a former primary that must rewind confirms the first row of its successor', async () => {
  trio = new Trio({ nodes: ['a', 'b'] })
  const t = trio
  await t.begin()
  const [writer, watcher] = [await t.connect('a'), await t.connect('a')]
  await writer.query('create table ballast as select n, repeat(md5(n::text), 4) from generate_series(1, 60000) n')
  await writer.query('create table phantoms (n int)')
  process.kill(t.pidOf('a'), 'SIGSTOP')
  await t.until('it is seen as frozen', () => t.observe('a').hung)
  await t.driver('b').recruit(2)
  writer.query('insert into phantoms values (1)').catch(() => {}) // its server is ended while it waits
  await t.until('the phantom is written', async () => {
    const waits = "select 1 from pg_stat_activity where wait_event = 'SyncRep' and query like 'insert into phantoms%'"
    return (await watcher.query(waits)).rows.length > 0
  })
  const quorum = t.quorum(2, 'b')
  const leads = t.driver('b').promoteReplica(quorum)
  leads.catch(() => {}) // it goes on trying when that takes longer than it may
  process.kill(t.pidOf('a'), 'SIGCONT')
  await t.driver('a').follow(quorum, t.address('b'))
  await t.until('the row of its rule is durable', () => t.observe('b').replica.quorumDurable)
  expect(await t.rows('b', 'select * from phantoms')).toEqual([])
  expect(t.observe('a').note).toMatch(/gave up \d+ bytes/)
})
