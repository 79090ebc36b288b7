/**
 * What is done on purpose: changes of the rule, and a switchover without anything to rewind.
 *
 * Exercises: drivers/postgres. Engines: postgresql.
 */
import { afterEach, expect, test } from 'vitest'
import { POSTGRES_DEFAULTS } from '../../src/drivers/postgres/options.ts'
import { Ledger, Trio } from './postgres-trio.ts'

let trio: Trio | undefined

afterEach(async () => {
  await trio?.end()
  trio = undefined
})

async function begin(options: ConstructorParameters<typeof Trio>[0] = {}): Promise<Trio> {
  trio = new Trio(options)
  await trio.begin()
  return trio
}

test('the rule shrinks and grows in safe steps, each of them a row; a standby that is away cannot come in', async () => {
  const t = await begin({ options: { timing: { ...POSTGRES_DEFAULTS.timing, quorumRowMs: 1_500 } } })
  const setting = async () => (await t.rows('a', 'show synchronous_standby_names'))[0]?.synchronous_standby_names
  await t.driver('a').changeQuorum(t.quorum(1, 'a', { k: 2, id: 'two' }))
  expect(await setting()).toBe('ANY 2 ("b", "c")')
  await t.driver('a').changeQuorum(t.quorum(1, 'a', { standbys: ['b'], k: 1, id: 'three' }))
  expect(await setting()).toBe('ANY 1 ("b")')
  await t.driver('a').changeQuorum(t.quorum(1, 'a', { standbys: ['b'], k: 1, id: 'three' }))
  const rows = await t.rows('a', "select standbys::text || ' ' || k as it from understudy.quorum_rows order by seq")
  expect(rows.map((row) => row.it)).toEqual(['{b,c} 1', '{b,c} 2', '{b,c} 1', '{b} 1'])
  expect(t.observe('a').replica).toMatchObject({ quorumDurable: true, quorum: { id: 'three' } })
  // c is away: it cannot come in before it streams and has caught up, and nothing changes meanwhile.
  await t.driver('c').kill()
  await t.untilMissed('c')
  await expect(t.driver('a').changeQuorum(t.quorum(1, 'a', { id: 'four' }))).rejects.toMatchObject({
    code: 'UND_TIMED_OUT',
  })
  expect(await setting()).toBe('ANY 1 ("b")')
  await t.driver('c').follow(t.quorum(1, 'a'), t.address('a'))
  await t.driver('a').changeQuorum(t.quorum(1, 'a', { id: 'four' }))
  expect(await setting()).toBe('ANY 1 ("b", "c")')
  await t.until('b knows it', () => t.observe('b').replica.quorum?.id === 'four')
  await expect(t.driver('a').changeQuorum(t.quorum(2, 'a'))).rejects.toMatchObject({ code: 'UND_REFUSED' })
}, 60_000)

test('a switchover: demoted, fenced, led by another, followed without a rewind; nothing is given up', async () => {
  const t = await begin()
  const writer = await t.connect('a')
  const ledger = await Ledger.prepare(writer)
  ledger.begin(writer)
  await t.until('some rows', () => ledger.acknowledged.length > 100)
  await t.driver('a').demote(2)
  await ledger.stop()
  expect(t.observe('a')).toMatchObject({ state: 'stopped', failures: 0 })
  const { leader, quorum } = await t.failOver(2)
  await t.driver('a').follow(quorum, t.address(leader))
  expect(t.observe('a').note).toBe('')
  expect(t.observe('a')).toMatchObject({ role: 'standby', replica: { quarantined: false, diverged: false } })
  expect(await ledger.lost(await t.connect(leader))).toEqual([])
  await expect(t.driver('a').start({ role: 'primary', term: 1 })).rejects.toMatchObject({ code: 'UND_REFUSED' })
})

test('an agent that is replaced finds its primary and its standbys as they were', async () => {
  const t = await begin()
  const pid = t.pidOf('a')
  for (const node of t.nodes) await t.restartAgent(node)
  await t.until('the rule is known to be durable', () => t.observe('a').replica.quorumDurable)
  expect(t.observe('a')).toMatchObject({ pid, role: 'primary', term: 1, state: 'running' })
  await t.until('they stream', () => t.observe('b').replica.receivingFrom === 'a')
  process.kill(pid, 'SIGKILL')
  await t.until('the end of an adopted one is seen', () => t.observe('a').state === 'stopped')
  expect(t.observe('a')).toMatchObject({ role: 'none', failures: 1 })
})
