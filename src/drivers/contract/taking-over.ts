/** One primary after another: the first replica, those that follow, recruiting, and which one may be promoted then. */
import { comparePositions, sameConfig } from '../../core/replicated/quorum.ts'
import { assert } from '../../lib/assert.ts'
import { refused } from './driver-contract.ts'
import {
  acknowledged,
  begin,
  copyOf,
  expectCopy,
  expectReport,
  failOver,
  furthestOf,
  leaderOf,
  NODES,
  notAcknowledged,
  pass,
  quorum,
  type ReplicaCase,
  until,
  untilHeld,
  untilReport,
} from './replica-world.ts'

export const TAKE_OVER_CASES: readonly ReplicaCase[] = [
  {
    name: 'create makes the first replica and leads; its quorum is durable when the quorum has the row, and not before',
    async run(world) {
      await world.driver('a').create(quorum(1, 'a'))
      expectReport(world, 'a', { state: 'running', role: 'primary', term: 1 })
      await pass(world)
      expectCopy(world, 'a', { quorumDurable: false, quorum: null, recruited: false })
      await world.driver('b').follow(quorum(1, 'a'), world.address('a'))
      await until(world, 'a', 'durable', ({ quorumDurable }) => quorumDurable)
      assert(sameConfig(copyOf(world, 'a').quorum, quorum(1, 'a')), 'it reports the quorum that is in force')
      await acknowledged(world, await world.write('a'))
      await world.driver('a').create(quorum(1, 'a'))
      await refused(() => world.driver('a').create(quorum(1, 'a', { id: 'another' })))
    },
  },
  {
    name: 'follow clones a replica without data from the primary; what is acknowledged reaches every replica soon',
    async run(world) {
      await begin(world)
      expectReport(world, 'b', { state: 'running', role: 'standby', term: 0 })
      expectCopy(world, 'b', { receivingFrom: 'a', recruited: false, quarantined: false, diverged: false, pledged: 1 })
      await until(world, 'a', 'streaming to both', ({ streaming }) => streaming.length === 2)
      const write = await world.write('a')
      await acknowledged(world, write)
      for (const node of NODES) await untilHeld(world, node, write)
      await world.driver('b').follow(quorum(1, 'a'), world.address('a'))
      expectCopy(world, 'b', { receivingFrom: 'a' })
    },
  },
  {
    name: 'recruit: once enough replicas have pledged nothing more is acknowledged, and the furthest has all that was',
    async run(world) {
      await begin(world)
      const before = await world.write('a')
      await acknowledged(world, before)
      await Promise.all([world.driver('b').recruit(2), world.driver('c').recruit(2)])
      for (const node of ['b', 'c'])
        expectCopy(world, node, { pledged: 2, recruited: true, receivingFrom: null, quarantined: false })
      const told = copyOf(world, 'b').position
      const after = await world.write('a')
      await notAcknowledged(world, after)
      await world.driver('b').recruit(2)
      const now = copyOf(world, 'b').position
      assert(told && now && comparePositions(told, now) === 0, 'a recruited replica stays where it is')
      const [best = 'b'] = furthestOf(world, ['b', 'c'])
      await untilHeld(world, best, before)
    },
  },
  {
    name: 'recruit: refused below the pledge, and so is following a primary of a lower term',
    async run(world) {
      await begin(world)
      await refused(() => world.driver('b').recruit(1)) // it follows in this term
      await world.driver('b').recruit(3)
      await refused(() => world.driver('b').recruit(2))
      await refused(() => world.driver('b').follow(quorum(1, 'a'), world.address('a')))
      expectCopy(world, 'b', { pledged: 3, receivingFrom: null })
    },
  },
  {
    name: 'recruit: a replica without data pledges, and says nothing about what was acknowledged',
    async run(world) {
      await world.driver('c').recruit(4)
      expectCopy(world, 'c', { pledged: 4, recruited: true, position: null })
      await refused(() => world.driver('c').recruit(3))
    },
  },
  {
    name: 'recruit: with replay paused the receivers end all the same, and replay goes on',
    async run(world) {
      await begin(world)
      for (const node of ['b', 'c']) await world.harm(node, 'pause')
      const write = await world.write('a')
      await acknowledged(world, write)
      await Promise.all([world.driver('b').recruit(2), world.driver('c').recruit(2)])
      const late = await world.write('a')
      await notAcknowledged(world, late) // a receiver that was not ended would have confirmed it
      const [best = 'b'] = furthestOf(world, ['b', 'c'])
      await untilHeld(world, best, write)
    },
  },
  {
    name: 'recruit: a primary ends leading, comes back without a receiver, and its position is all that it had',
    async run(world) {
      await begin(world)
      const write = await world.write('a')
      await acknowledged(world, write)
      await world.driver('a').recruit(2)
      await untilReport(world, 'a', 'a standby', ({ role, state }) => role === 'standby' && state === 'running')
      expectCopy(world, 'a', { pledged: 2, recruited: true, receivingFrom: null, diverged: true, quorumDurable: false })
      await untilHeld(world, 'a', write)
      await refused(() => world.driver('a').start({ role: 'primary', term: 1 }))
    },
  },
  {
    name: 'recruit: also one that is frozen; it is reported as hung until then',
    async run(world) {
      await begin(world)
      await world.harm('a', 'freeze')
      await untilReport(world, 'a', 'hung', ({ hung, health }) => hung && health === 'unhealthy')
      await world.driver('a').recruit(2)
      expectCopy(world, 'a', { pledged: 2, recruited: true })
      await untilReport(world, 'a', 'thawed', ({ hung, role }) => !hung && role === 'standby')
    },
  },
  {
    name: 'recruit: does not wait for a clone that is under way, but calls it off',
    async run(world) {
      await world.driver('a').create(quorum(1, 'a'))
      await world.harm('a', 'freeze')
      const called = refused(() => world.driver('b').follow(quorum(1, 'a'), world.address('a')))
      await world.driver('b').recruit(2)
      await called
      expectCopy(world, 'b', { pledged: 2, recruited: true, position: null })
    },
  },
  {
    name: 'promoteReplica: only when recruited for its term and under a quorum of its own; then it acknowledges with its standbys',
    async run(world) {
      await begin(world)
      const write = await world.write('a')
      await acknowledged(world, write)
      await refused(() => world.driver('b').promoteReplica(quorum(2, 'b')))
      await failOver(world, 2)
      const leader = leaderOf(world)
      await refused(() => world.driver(leader).promote(3))
      expectReport(world, leader, { role: 'primary', term: 2, state: 'running' })
      expectCopy(world, leader, { quorumDurable: true, recruited: false })
      assert(await world.holds(leader, write), 'it has what was acknowledged')
      await acknowledged(world, await world.write(leader))
      await world.driver(leader).promoteReplica(quorum(2, leader))
      expectReport(world, leader, { role: 'primary', term: 2 })
    },
  },
  {
    name: 'promoteReplica: without its quorum it times out, leads and acknowledges nothing; the row goes on being tried',
    async run(world) {
      await begin(world)
      await Promise.all([world.driver('b').recruit(2), world.driver('c').recruit(2)])
      const [best = 'b', other = 'c'] = furthestOf(world, ['b', 'c'])
      const next = quorum(2, best, { standbys: [other], k: 1 })
      await refused(() => world.driver(best).promoteReplica(next))
      expectReport(world, best, { role: 'primary', term: 2 })
      expectCopy(world, best, { quorumDurable: false })
      await world.driver(other).follow(next, world.address(best))
      await until(world, best, 'durable', ({ quorumDurable }) => quorumDurable)
      await acknowledged(world, await world.write(best))
    },
  },
]
