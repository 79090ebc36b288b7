/**
 * A new primary whose quorum comes late: no client is admitted before, and one that is admitted then can write at once.
 *
 * Exercises: drivers/postgres. Engines: postgresql.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { Trio } from './postgres-trio.ts'

let trio: Trio | undefined

afterEach(async () => {
  await trio?.end()
  trio = undefined
})

test('the first write after a promotion is taken, however long its quorum was away', async () => {
  trio = new Trio()
  const t = trio
  await t.begin()
  await t.rows('a', 'create table kept (id int)')
  await t.driver('a').kill()
  const { leader, other, quorum } = await t.choose(2)
  await expect(t.driver(leader).promoteReplica(quorum)).rejects.toMatchObject({ code: 'UND_TIMED_OUT' })
  const since = performance.now()
  await t.until('longer than a hiccup', () => performance.now() - since > 2_500)
  await t.enact(quorum, other)
  // Who is let in from here on gets what the file says now.
  const settings = readFileSync(join(t.dataOf(leader), 'understudy.conf'), 'utf8')
  expect(settings).not.toContain('default_transaction_read_only')
  await t.rows(leader, 'insert into kept values (1)')
}, 120_000)
