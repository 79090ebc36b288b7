/** What becomes of a copy that is there: rules that change, servers and agents that end, a primary that comes back. */
import { sameConfig } from '../../core/replicated/quorum.ts'
import { assert } from '../../lib/assert.ts'
import {
  acknowledged,
  begin,
  copyOf,
  expectCopy,
  expectReport,
  failOver,
  leaderOf,
  notAcknowledged,
  type ReplicaCase,
  refused,
  rule,
  until,
  untilHeld,
  untilReport,
} from './replica-world.ts'

export const LIVING_ON_CASES: readonly ReplicaCase[] = [
  {
    name: 'changeRule: a member goes, comes back, and more have to confirm; each is told when its row is durable',
    async run(world) {
      await begin(world)
      for (const change of [{ members: ['b'] }, { members: ['b', 'c'] }, { members: ['b', 'c'], k: 2 }]) {
        const next = rule(1, 'a', change)
        await world.driver('a').changeRule(next)
        assert(sameConfig(copyOf(world, 'a').rule, next), `it tells ${JSON.stringify(change)}`)
        await world.driver('a').changeRule(next)
      }
      await acknowledged(world, await world.write('a'))
      await world.driver('c').fence(2)
      await notAcknowledged(world, await world.write('a'))
      await refused(() => world.driver('b').changeRule(rule(1, 'a')))
    },
  },
  {
    name: 'demote: it acknowledges nothing more and does not lead again in its term; fenced, it has all that it had',
    async run(world) {
      await begin(world)
      const write = await world.write('a')
      await acknowledged(world, write)
      await world.driver('a').demote(2)
      await untilReport(world, 'a', 'stopped', ({ state }) => state === 'stopped')
      expectReport(world, 'a', { failures: 0, role: 'none' })
      await refused(() => world.driver('a').start({ role: 'primary', term: 1 }))
      await world.driver('a').fence(2)
      expectCopy(world, 'a', { pledged: 2, fenced: true })
      await untilHeld(world, 'a', write)
    },
  },
  {
    name: 'a primary that ends by itself keeps its term; started in place it leads when its row is durable again',
    async run(world) {
      await begin(world)
      const write = await world.write('a')
      await acknowledged(world, write)
      await world.harm('a', 'end')
      await untilReport(world, 'a', 'stopped', ({ state }) => state === 'stopped')
      expectReport(world, 'a', { term: 1, failures: 1, role: 'none' })
      expectCopy(world, 'a', { ruleDurable: false, rule: null })
      await world.driver('a').start({ role: 'primary', term: 1 })
      expectReport(world, 'a', { term: 1, role: 'primary' })
      expectCopy(world, 'a', { ruleDurable: true })
      assert(await world.holds('a', write), 'it has what was acknowledged')
      await acknowledged(world, await world.write('a'))
    },
  },
  {
    name: 'a row that waited when its server ended is not waited for: the next server writes its own',
    async run(world) {
      await begin(world)
      for (const node of ['b', 'c']) await world.driver(node).stop({ settleMs: 0, graceMs: 2_000 })
      await world.harm('a', 'end')
      await untilReport(world, 'a', 'stopped', ({ state }) => state === 'stopped')
      const first = refused(() => world.driver('a').start({ role: 'primary', term: 1 }))
      await untilReport(world, 'a', 'leading', ({ role }) => role === 'primary')
      await world.harm('a', 'end')
      await first
      await untilReport(world, 'a', 'stopped', ({ state }) => state === 'stopped')
      // It may be told that it is late: the row goes on being tried.
      const second = world
        .driver('a')
        .start({ role: 'primary', term: 1 })
        .catch(() => undefined)
      await world.driver('b').start({ role: 'standby', term: 0 })
      await untilReport(world, 'a', 'leading', ({ role }) => role === 'primary')
      await world.driver('b').follow(rule(1, 'a'), world.address('a'))
      await until(world, 'a', 'durable', ({ ruleDurable }) => ruleDurable)
      await second
      await acknowledged(world, await world.write('a'))
    },
  },
  {
    name: 'changeRule: what cannot be confirmed is late and acknowledges nothing; said again when it can be, it is done',
    async run(world) {
      await begin(world)
      const next = rule(1, 'a', { k: 2 })
      await world.driver('c').stop({ settleMs: 0, graceMs: 2_000 })
      await refused(() => world.driver('a').changeRule(next))
      await notAcknowledged(world, await world.write('a'))
      await world.driver('c').start({ role: 'standby', term: 0 })
      await until(world, 'c', 'following', ({ receivingFrom }) => receivingFrom === 'a')
      await world.driver('a').changeRule(next)
      assert(sameConfig(copyOf(world, 'a').rule, next), 'it tells the new rule')
      await acknowledged(world, await world.write('a'))
    },
  },
  {
    name: 'changeRule: back to what can be confirmed, when the change before it cannot be any more',
    async run(world) {
      await begin(world)
      await world.driver('c').stop({ settleMs: 0, graceMs: 2_000 })
      await refused(() => world.driver('a').changeRule(rule(1, 'a', { k: 2 })))
      const waiting = await world.write('a')
      await notAcknowledged(world, waiting)
      await world.driver('a').changeRule(rule(1, 'a'))
      assert(sameConfig(copyOf(world, 'a').rule, rule(1, 'a')), 'it tells the rule that is in force')
      await acknowledged(world, waiting)
    },
  },
  {
    name: 'agents that die change nothing: the next one finds a primary, a standby and a fenced member as they were',
    async run(world) {
      await begin(world)
      await world.driver('c').fence(2)
      const { pid } = world.driver('a').observe()
      for (const node of ['a', 'b', 'c']) await world.newAgent(node)
      await until(world, 'a', 'durable', ({ ruleDurable }) => ruleDurable)
      expectReport(world, 'a', { role: 'primary', term: 1, ...(pid !== undefined && { pid }) })
      await until(world, 'b', 'following', ({ receivingFrom }) => receivingFrom === 'a')
      await until(world, 'c', 'fenced', ({ fenced, pledged }) => fenced && pledged === 2)
      await acknowledged(world, await world.write('a'))
    },
  },
  {
    name: 'a primary that was failed over comes back as a standby, without what was never acknowledged',
    async run(world) {
      await begin(world)
      const kept = await world.write('a')
      await acknowledged(world, kept)
      await Promise.all([world.driver('b').fence(2), world.driver('c').fence(2)])
      const phantom = await world.write('a')
      await notAcknowledged(world, phantom)
      await failOver(world, 2)
      const leader = leaderOf(world)
      await world.driver('a').follow(rule(2, leader), world.address(leader))
      await until(world, 'a', 'counted', ({ quarantined }) => !quarantined)
      expectCopy(world, 'a', { diverged: false, receivingFrom: leader })
      await untilHeld(world, 'a', kept)
      assert(!(await world.holds('a', phantom)), 'what was never acknowledged is gone')
      assert(!phantom.acknowledged, 'and its author was never told otherwise')
    },
  },
]
