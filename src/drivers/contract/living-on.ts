/** What becomes of a replica that is there: quorums that change, servers and agents that end, a primary that comes back. */
import type { InstanceReport } from '../../core/model.ts'
import { sameConfig } from '../../core/replicated/quorum.ts'
import { assert } from '../../lib/assert.ts'
import { refused } from './driver-contract.ts'
import {
  acknowledged,
  begin,
  copyOf,
  expectCopy,
  expectReport,
  failOver,
  leaderOf,
  notAcknowledged,
  quorum,
  type ReplicaCase,
  until,
  untilHeld,
  untilReport,
} from './replica-world.ts'

export const LIVING_ON_CASES: readonly ReplicaCase[] = [
  {
    name: 'changeQuorum: a standby goes, comes back, and more have to confirm; each is reported when its row is durable',
    async run(world) {
      await begin(world)
      for (const change of [{ standbys: ['b'] }, { standbys: ['b', 'c'] }, { standbys: ['b', 'c'], k: 2 }]) {
        const next = quorum(1, 'a', change)
        await world.driver('a').changeQuorum(next)
        assert(sameConfig(copyOf(world, 'a').quorum, next), `it tells ${JSON.stringify(change)}`)
        await world.driver('a').changeQuorum(next)
      }
      await acknowledged(world, await world.write('a'))
      await world.driver('c').recruit(2)
      await notAcknowledged(world, await world.write('a'))
      await refused(() => world.driver('b').changeQuorum(quorum(1, 'a')))
    },
  },
  {
    name: 'demote: it acknowledges nothing more and does not lead again in its term; recruited, it has all that it had',
    async run(world) {
      await begin(world)
      const write = await world.write('a')
      await acknowledged(world, write)
      await world.driver('a').demote(2)
      await untilReport(world, 'a', 'stopped', ({ state }) => state === 'stopped')
      expectReport(world, 'a', { failures: 0, role: 'none' })
      await refused(() => world.driver('a').start({ role: 'primary', term: 1 }))
      await world.driver('a').recruit(2)
      expectCopy(world, 'a', { pledged: 2, recruited: true })
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
      expectCopy(world, 'a', { quorumDurable: false, quorum: null })
      await world.driver('a').start({ role: 'primary', term: 1 })
      expectReport(world, 'a', { term: 1, role: 'primary' })
      expectCopy(world, 'a', { quorumDurable: true })
      assert(await world.holds('a', write), 'it has what was acknowledged')
      await acknowledged(world, await world.write('a'))
    },
  },
  {
    name: 'a primary that ends by itself is never reported as one that leads without its row, which would be led in place',
    async run(world) {
      await begin(world)
      const lacksRow = ({ state, role, replica }: InstanceReport) =>
        state === 'running' && role === 'primary' && replica?.quorumDurable === false
      await world.harm('a', 'end')
      const isSeen = (report: InstanceReport) => report.state === 'stopped' || lacksRow(report)
      await untilReport(world, 'a', 'stopped', isSeen)
      expectReport(world, 'a', { state: 'stopped', role: 'none' })
    },
  },
  {
    name: 'follow: a standby whose server had ended runs and can be recruited, though its primary never answers',
    async run(world) {
      await begin(world)
      await world.driver('b').stop({ settleMs: 0, graceMs: 2_000 })
      await world.harm('a', 'end')
      await untilReport(world, 'a', 'stopped', ({ state }) => state === 'stopped')
      const followed = refused(() => world.driver('b').follow(quorum(1, 'a'), world.address('a')))
      await untilReport(world, 'b', 'running', ({ state }) => state === 'running')
      await until(world, 'b', 'sure of its position', ({ position }) => position !== null)
      await world.driver('b').recruit(2)
      await followed
      expectCopy(world, 'b', { recruited: true, pledged: 2 })
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
      await untilReport(world, 'a', 'leading', ({ role }) => role === 'primary')
      await world.driver('b').start({ role: 'standby', term: 0 })
      await world.driver('b').follow(quorum(1, 'a'), world.address('a'))
      await until(world, 'a', 'durable', ({ quorumDurable }) => quorumDurable)
      await second
      await acknowledged(world, await world.write('a'))
    },
  },
  {
    name: 'changeQuorum: what cannot be confirmed is late and acknowledges nothing; said again when it can be, it is done',
    async run(world) {
      await begin(world)
      const next = quorum(1, 'a', { k: 2 })
      await world.driver('c').stop({ settleMs: 0, graceMs: 2_000 })
      await refused(() => world.driver('a').changeQuorum(next))
      await notAcknowledged(world, await world.write('a'))
      await world.driver('c').start({ role: 'standby', term: 0 })
      await until(world, 'c', 'following', ({ receivingFrom }) => receivingFrom === 'a')
      await world.driver('a').changeQuorum(next)
      assert(sameConfig(copyOf(world, 'a').quorum, next), 'it reports the new quorum')
      await acknowledged(world, await world.write('a'))
    },
  },
  {
    name: 'changeQuorum: back to what can be confirmed, when the change before it cannot be any more',
    async run(world) {
      await begin(world)
      await world.driver('c').stop({ settleMs: 0, graceMs: 2_000 })
      await refused(() => world.driver('a').changeQuorum(quorum(1, 'a', { k: 2 })))
      const waiting = await world.write('a')
      await notAcknowledged(world, waiting)
      await world.driver('a').changeQuorum(quorum(1, 'a'))
      assert(sameConfig(copyOf(world, 'a').quorum, quorum(1, 'a')), 'it reports the quorum that is in force')
      await acknowledged(world, waiting)
    },
  },
  {
    name: 'agents that die change nothing: the next one finds a primary, a standby and a recruited replica as they were',
    async run(world) {
      await begin(world)
      await world.driver('c').recruit(2)
      const { pid } = world.driver('a').observe()
      for (const node of ['a', 'b', 'c']) await world.newAgent(node)
      await until(world, 'a', 'durable', ({ quorumDurable }) => quorumDurable)
      expectReport(world, 'a', { role: 'primary', term: 1, ...(pid !== undefined && { pid }) })
      await until(world, 'b', 'following', ({ receivingFrom }) => receivingFrom === 'a')
      await until(world, 'c', 'fenced', ({ recruited, pledged }) => recruited && pledged === 2)
      await acknowledged(world, await world.write('a'))
    },
  },
  {
    name: 'a primary that was failed over comes back as a standby, without what was never acknowledged',
    async run(world) {
      await begin(world)
      const kept = await world.write('a')
      await acknowledged(world, kept)
      await Promise.all([world.driver('b').recruit(2), world.driver('c').recruit(2)])
      const phantom = await world.write('a')
      await notAcknowledged(world, phantom)
      await failOver(world, 2)
      const leader = leaderOf(world)
      await world.driver('a').follow(quorum(2, leader), world.address(leader))
      await until(world, 'a', 'counted', ({ quarantined }) => !quarantined)
      expectCopy(world, 'a', { diverged: false, receivingFrom: leader })
      await untilHeld(world, 'a', kept)
      assert(!(await world.holds('a', phantom)), 'what was never acknowledged is gone')
      assert(!phantom.acknowledged, 'and its author was never told otherwise')
    },
  },
]
