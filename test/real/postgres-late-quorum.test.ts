/** A new primary whose quorum comes late: nobody is let in before, and whoever is let in then can write at once. */
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
  await Promise.all(['b', 'c'].map((node) => t.driver(node).fence(2)))
  const rule = t.rule(2, 'b')
  await expect(t.driver('b').lead(rule)).rejects.toMatchObject({ code: 'UND_TIMED_OUT' })
  const since = performance.now()
  await t.until('longer than a hiccup', () => performance.now() - since > 2_500)
  const following = t.driver('c').follow(rule, t.address('b'))
  await t.driver('b').lead(rule)
  // Who is let in from here on gets what the file says now.
  const settings = readFileSync(join(t.dataOf('b'), 'understudy.conf'), 'utf8')
  expect(settings).not.toContain('default_transaction_read_only')
  await t.rows('b', 'insert into kept values (1)')
  await following
}, 120_000)
