/**
 * From nothing to a failover and back, on real servers: with PostgreSQL of the system where there is one, and of the package.
 *
 * Exercises: drivers/postgres. Engines: postgresql. Fast.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { everyPostgres } from './engines.ts'
import { Ledger, Trio } from './postgres-trio.ts'

let trio: Trio | undefined

afterEach(async () => {
  await trio?.end()
  trio = undefined
})

describe.each(everyPostgres)('PostgreSQL $name', ({ bin }) => {
  test('the primary is killed: nothing acknowledged is lost, and it comes back as a standby', async () => {
    trio = new Trio({ bin })
    await trio.begin()
    const t = trio
    const writer = await t.connect('a')
    const ledger = await Ledger.prepare(writer)
    ledger.begin(writer)
    await t.until('some rows', () => ledger.acknowledged.length > 100)
    process.kill(t.pidOf('a'), 'SIGKILL')
    await t.until('the end is seen', () => t.observe('a').state === 'stopped')
    await ledger.stop()
    const { leader, quorum } = await t.failOver(2)
    expect(t.observe(leader)).toMatchObject({ role: 'primary', term: 2, replica: { quorum } })
    const client = await t.connect(leader)
    expect(await ledger.lost(client)).toEqual([])
    await client.query('insert into ledger (id) values (-1)')
    await t.driver('a').follow(t.quorum(2, leader), t.address(leader))
    await t.until('it counts again', () => !t.observe('a').replica.quarantined)
    await t.until(
      'it has the new row',
      async () => (await t.rows('a', 'select 1 from ledger where id = -1')).length === 1,
    )
    expect(t.observe('a')).toMatchObject({ role: 'standby', replica: { diverged: false, receivingFrom: leader } })
  })

  test('the primary is frozen and thawed: what it never got acknowledged is given up, kept and named', async () => {
    trio = new Trio({ bin })
    await trio.begin()
    const t = trio
    const writer = await t.connect('a')
    const ledger = await Ledger.prepare(writer)
    ledger.begin(writer)
    await t.until('some rows', () => ledger.acknowledged.length > 50)
    await ledger.stop()
    process.kill(t.pidOf('a'), 'SIGSTOP')
    await t.until('it is seen as frozen', () => t.observe('a').hung)
    // Its other processes are alive: a commit there has no standby that could acknowledge it once both are recruited.
    await Promise.all(['b', 'c'].map((node) => t.driver(node).recruit(2)))
    let acknowledged = false
    const phantom = writer.query('insert into ledger (id) values (-7)').then(() => {
      acknowledged = true
    })
    phantom.catch(() => {}) // its server is ended while it waits
    const { leader } = await t.failOver(2)
    expect(acknowledged).toBe(false)
    process.kill(t.pidOf('a'), 'SIGCONT')
    await t.driver('a').follow(t.quorum(2, leader), t.address(leader))
    await t.until('it counts again', () => !t.observe('a').replica.quarantined)
    expect(acknowledged).toBe(false)
    expect(await ledger.lost(await t.connect('a'))).toEqual([])
    expect(await t.rows('a', 'select 1 from ledger where id = -7')).toEqual([])
    const { note } = t.observe('a')
    expect(note).toMatch(/gave up \d+ bytes of log \(1 row\) from .*never acknowledged: kept in/)
    const kept = join(t.root, 'a', 'instances', 'db', 'discarded')
    const [folder = ''] = readdirSync(kept)
    expect(readFileSync(join(kept, folder, 'rows.jsonl'), 'utf8')).toContain('"id":-7')
    expect(readdirSync(join(kept, folder)).filter((name) => /^[0-9A-F]{24}$/.test(name)).length).toBeGreaterThan(0)
  })
})
