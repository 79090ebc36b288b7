/**
 * A primary admits clients when its quorum row is on its quorum. PostgreSQL says the same to a session that waited for
 * that, to one that was cancelled while it waited, and, right after a start, to one that did not wait at all (traps 8 and 11).
 *
 * Exercises: drivers/postgres. Engines: postgresql.
 */
import { afterEach, expect, test } from 'vitest'
import { POSTGRES_DEFAULTS } from '../../src/drivers/postgres/options.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { Trio } from './postgres-trio.ts'

let trio: Trio | undefined

afterEach(async () => {
  await trio?.end()
  trio = undefined
})

test('trap 8: a mark that was cancelled while it waited opens nothing, and does so when its quorum has it', async () => {
  const t = new Trio({ options: { timing: { ...POSTGRES_DEFAULTS.timing, quorumRowMs: 700 } } })
  trio = t
  await t.begin()
  await t.driver('a').kill()
  const { leader, other, quorum } = await t.choose(2)
  await expect(t.driver(leader).promoteReplica(quorum)).rejects.toMatchObject({ code: 'UND_TIMED_OUT' })
  const marks =
    "select pid from pg_stat_activity where wait_event = 'SyncRep' and query ~ 'insert into understudy.quorum_rows'"
  await t.until('the mark waits', async () => (await t.rows(leader, marks)).length === 1)
  await t.rows(leader, `select pg_cancel_backend(pid) from (${marks}) as it`)
  await t.until('it waits no more', async () => (await t.rows(leader, marks)).length === 0)
  const cancelledAt = systemClock.mono()
  await t.until('a second to pass, in which no client is admitted', async () => {
    expect(t.observe(leader).replica.quorumDurable).toBe(false)
    return systemClock.mono() - cancelledAt > 1_000
  })
  await t.driver(other).follow(quorum, t.address(leader))
  await t.until('the row is on its quorum', () => t.observe(leader).replica.quorumDurable)
})
