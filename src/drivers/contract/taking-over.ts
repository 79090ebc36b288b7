/** One primary after another: the first copy, those that follow, the fence, and who may lead then. */
import { comparePositions, sameConfig } from '../../core/replicated/quorum.ts'
import { assert } from '../../lib/assert.ts'
import {
  acknowledged,
  begin,
  copyOf,
  expectCopy,
  expectReport,
  failOver,
  furthestOf,
  leaderOf,
  MEMBERS,
  notAcknowledged,
  pass,
  type ReplicaCase,
  refused,
  rule,
  until,
  untilHeld,
  untilReport,
} from './replica-world.ts'

export const TAKE_OVER_CASES: readonly ReplicaCase[] = [
  {
    name: 'create makes the first copy and leads; its rule is durable when the quorum has the row, and not before',
    async run(world) {
      await world.driver('a').create(rule(1, 'a'))
      expectReport(world, 'a', { state: 'running', role: 'primary', term: 1 })
      await pass(world)
      expectCopy(world, 'a', { ruleDurable: false, rule: null, fenced: false })
      await world.driver('b').follow(rule(1, 'a'), world.address('a'))
      await until(world, 'a', 'durable', ({ ruleDurable }) => ruleDurable)
      assert(sameConfig(copyOf(world, 'a').rule, rule(1, 'a')), 'it tells the rule that is in force')
      await acknowledged(world, await world.write('a'))
      await world.driver('a').create(rule(1, 'a'))
      await refused(() => world.driver('a').create(rule(1, 'a', { id: 'another' })))
    },
  },
  {
    name: 'follow brings a member without data under the primary; what is acknowledged is in every copy soon',
    async run(world) {
      await begin(world)
      expectReport(world, 'b', { state: 'running', role: 'standby', term: 0 })
      expectCopy(world, 'b', { receivingFrom: 'a', fenced: false, quarantined: false, diverged: false, pledged: 1 })
      await until(world, 'a', 'streaming to both', ({ streaming }) => streaming.length === 2)
      const write = await world.write('a')
      await acknowledged(world, write)
      for (const node of MEMBERS) await untilHeld(world, node, write)
      await world.driver('b').follow(rule(1, 'a'), world.address('a'))
      expectCopy(world, 'b', { receivingFrom: 'a' })
    },
  },
  {
    name: 'fence: when enough members have pledged nothing more is acknowledged, and the furthest has all that was',
    async run(world) {
      await begin(world)
      const before = await world.write('a')
      await acknowledged(world, before)
      await Promise.all([world.driver('b').fence(2), world.driver('c').fence(2)])
      for (const node of ['b', 'c'])
        expectCopy(world, node, { pledged: 2, fenced: true, receivingFrom: null, quarantined: false })
      const told = copyOf(world, 'b').position
      const after = await world.write('a')
      await notAcknowledged(world, after)
      await world.driver('b').fence(2)
      const now = copyOf(world, 'b').position
      assert(told && now && comparePositions(told, now) === 0, 'a fenced member stays where it is')
      const [best = 'b'] = furthestOf(world, ['b', 'c'])
      await untilHeld(world, best, before)
    },
  },
  {
    name: 'fence: below a pledge it is refused, and so is a primary of a lower term',
    async run(world) {
      await begin(world)
      await refused(() => world.driver('b').fence(1)) // it follows in this term
      await world.driver('b').fence(3)
      await refused(() => world.driver('b').fence(2))
      await refused(() => world.driver('b').follow(rule(1, 'a'), world.address('a')))
      expectCopy(world, 'b', { pledged: 3, receivingFrom: null })
    },
  },
  {
    name: 'fence: a member without data pledges, and says nothing about what was acknowledged',
    async run(world) {
      await world.driver('c').fence(4)
      expectCopy(world, 'c', { pledged: 4, fenced: true, position: null })
      await refused(() => world.driver('c').fence(3))
    },
  },
  {
    name: 'fence: with replay paused the receivers end all the same, and replay goes on',
    async run(world) {
      await begin(world)
      for (const node of ['b', 'c']) await world.harm(node, 'pause')
      const write = await world.write('a')
      await acknowledged(world, write)
      await Promise.all([world.driver('b').fence(2), world.driver('c').fence(2)])
      const late = await world.write('a')
      await notAcknowledged(world, late) // a receiver that nobody ended would have confirmed it
      const [best = 'b'] = furthestOf(world, ['b', 'c'])
      await untilHeld(world, best, write)
    },
  },
  {
    name: 'fence: a primary ends leading, comes back without a receiver, and its position is all that it had',
    async run(world) {
      await begin(world)
      const write = await world.write('a')
      await acknowledged(world, write)
      await world.driver('a').fence(2)
      await untilReport(world, 'a', 'a standby', ({ role, state }) => role === 'standby' && state === 'running')
      expectCopy(world, 'a', { pledged: 2, fenced: true, receivingFrom: null, diverged: true, ruleDurable: false })
      await untilHeld(world, 'a', write)
      await refused(() => world.driver('a').start({ role: 'primary', term: 1 }))
    },
  },
  {
    name: 'fence: also of one that is frozen, and it is told as hung until then',
    async run(world) {
      await begin(world)
      await world.harm('a', 'freeze')
      await untilReport(world, 'a', 'hung', ({ hung, health }) => hung && health === 'unhealthy')
      await world.driver('a').fence(2)
      expectCopy(world, 'a', { pledged: 2, fenced: true })
      await untilReport(world, 'a', 'thawed', ({ hung, role }) => !hung && role === 'standby')
    },
  },
  {
    name: 'fence: does not wait for a copy that is under way, but calls it off',
    async run(world) {
      await world.driver('a').create(rule(1, 'a'))
      await world.harm('a', 'freeze')
      const called = refused(() => world.driver('b').follow(rule(1, 'a'), world.address('a')))
      await world.driver('b').fence(2)
      await called
      expectCopy(world, 'b', { pledged: 2, fenced: true, position: null })
    },
  },
  {
    name: 'lead: only after a fence of its term and under a rule of its own; then it acknowledges with its members',
    async run(world) {
      await begin(world)
      const write = await world.write('a')
      await acknowledged(world, write)
      await refused(() => world.driver('b').lead(rule(2, 'b')))
      await failOver(world, 2)
      const leader = leaderOf(world)
      await refused(() => world.driver(leader).promote(3))
      expectReport(world, leader, { role: 'primary', term: 2, state: 'running' })
      expectCopy(world, leader, { ruleDurable: true, fenced: false })
      assert(await world.holds(leader, write), 'it has what was acknowledged')
      await acknowledged(world, await world.write(leader))
      await world.driver(leader).lead(rule(2, leader))
      expectReport(world, leader, { role: 'primary', term: 2 })
    },
  },
  {
    name: 'lead: without its quorum it is late, leads and acknowledges nothing; the row goes on being tried',
    async run(world) {
      await begin(world)
      await Promise.all([world.driver('b').fence(2), world.driver('c').fence(2)])
      const [best = 'b', other = 'c'] = furthestOf(world, ['b', 'c'])
      const next = rule(2, best, { members: [other], k: 1 })
      await refused(() => world.driver(best).lead(next))
      expectReport(world, best, { role: 'primary', term: 2 })
      expectCopy(world, best, { ruleDurable: false })
      await world.driver(other).follow(next, world.address(best))
      await until(world, best, 'durable', ({ ruleDurable }) => ruleDurable)
      await acknowledged(world, await world.write(best))
    },
  },
]
