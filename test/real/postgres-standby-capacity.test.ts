/**
 * A standby never runs with less than its primary: for some settings PostgreSQL neither starts nor promotes one that has less.
 * Raised behind the config's back with ALTER SYSTEM, and lowered in the config, on every order of restarts that can happen.
 *
 * Exercises: drivers/postgres. Engines: postgresql.
 */
import { afterEach, describe, expect, test } from 'vitest'
import { everyPostgres } from './engines.ts'
import { Trio } from './postgres-trio.ts'

let trio: Trio | undefined

afterEach(async () => {
  await trio?.end()
  trio = undefined
})

const RAISED = {
  max_connections: 60,
  max_worker_processes: 12,
  max_wal_senders: 20,
  max_prepared_transactions: 5,
  max_locks_per_transaction: 96,
}

const inForce = async (t: Trio, node: string, name = 'max_connections') =>
  Number((await t.rows(node, `select current_setting('${name}') as it`))[0]?.it)

describe.each(everyPostgres)('PostgreSQL $name', ({ bin }) => {
  async function begin(settings: Record<string, string | number | boolean>): Promise<Trio> {
    trio = new Trio({ bin, options: { settings } })
    await trio.begin()
    return trio
  }

  /** Ends in place and comes back, as an operator restarts a server. */
  async function restartPrimary(t: Trio): Promise<void> {
    await t.driver('a').kill()
    await t.driver('a').start({ role: 'primary', term: 1 })
    await t.until('the rule is durable', () => t.observe('a').replica.quorumDurable)
  }

  test('ALTER SYSTEM raises what standbys need: they are shown as unfit, and one of them leads when the primary is killed', async () => {
    const t = await begin({ shared_buffers: '16MB', max_connections: 40 })
    for (const [name, value] of Object.entries(RAISED)) await t.rows('a', `alter system set ${name} = ${value}`)
    await restartPrimary(t)
    for (const node of ['b', 'c']) {
      await t.until(`${node} to say that it could not lead`, () => t.observe(node).replica.unfit)
      expect(t.observe(node).replica.unfit).toEqual({
        restartHelps: true,
        why: expect.stringContaining('max_connections is 40 here and 60 on the primary'),
      })
      await t.until(`${node} to be unhealthy`, () => t.observe(node).health === 'unhealthy')
    }
    // One is started anew, as the core does it; the other one has less when the primary dies.
    await t.driver('c').kill()
    await t.driver('c').follow(t.quorum(1, 'a'), t.address('a'))
    await t.until('c to be fit again', () => !t.observe('c').replica.unfit && t.observe('c').health === 'healthy')
    await t.driver('a').kill()
    const { leader, other } = await t.failOver(2)
    for (const [name, value] of Object.entries(RAISED)) {
      for (const node of [leader, other]) expect(await inForce(t, node, name), `${name} on ${node}`).toBe(value)
    }
  }, 240_000)

  test('lowered in the config, every server is started again and one of them leads', async () => {
    const settings = { shared_buffers: '16MB', max_connections: 40 }
    const t = await begin(settings)
    for (const node of t.nodes) await t.driver(node).kill()
    settings.max_connections = 20
    const { leader, other } = await t.failOver(2)
    expect(await inForce(t, leader)).toBe(40)
    // Once a primary was started in place with less, its standbys need no more.
    await t.driver(leader).kill()
    await t.driver(leader).start({ role: 'primary', term: 2 })
    await t.until('the rule is durable', () => t.observe(leader).replica.quorumDurable)
    expect(await inForce(t, leader)).toBe(20)
    await t.driver('a').follow(t.quorum(2, leader), t.address(leader))
    await t.until('its standbys have replayed that', async () => {
      const positions = [leader, other].map((node) => t.observe(node).replica.position?.log)
      return positions[0] === positions[1] && t.observe(other).replica.replayLagBytes === 0
    })
    await t.driver(other).kill()
    await t.driver(other).follow(t.quorum(2, leader), t.address(leader))
    expect(await inForce(t, other)).toBe(20)
  }, 240_000)

  test('a standby that was away while its primary was raised starts with as much', async () => {
    const t = await begin({ shared_buffers: '16MB', max_connections: 40 })
    await t.driver('c').kill()
    await t.rows('a', 'alter system set max_connections = 60')
    await restartPrimary(t)
    await t.restartAgent('c')
    await t.driver('c').follow({ ...t.quorum(1, 'a'), id: 'seen-anew' }, t.address('a'))
    await t.driver('a').kill()
    const { leader } = await t.failOver(2)
    expect(await inForce(t, leader)).toBe(60)
  }, 240_000)
})
