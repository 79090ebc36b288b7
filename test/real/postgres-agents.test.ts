/**
 * A dead agent harms nothing: the database beside it serves on, its standbys hear that, and no node takes the lead away from
 * it for as long as another agent may come. What its absence costs in the end is one change of primary, with nothing lost.
 *
 * Exercises: api, balancer, client, drivers/postgres, local, stores. Engines: postgresql, network namespaces.
 */
import { afterEach, expect, test } from 'vitest'
import { systemClock as clock, sleep } from '../../src/lib/clock.ts'
import { until } from '../../src/lib/until.ts'
import { serviceOf } from './cluster.ts'
import { watchSlowness } from './slowness.ts'
import { Ledger } from './torture/ledger.ts'
import { BALANCER, Place } from './torture/place.ts'

const WHOLE_WITHIN_MS = 90_000
let place: Place | undefined
let ledger: Ledger | undefined

afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') console.log(await place?.eventsSince(0))
  await ledger?.stop()
  await place?.close()
  ledger = undefined
  place = undefined
}, 60_000)

async function begin(): Promise<{ place: Place; ledger: Ledger; primary: string }> {
  const p = new Place({ plain: true })
  place = p
  p.start()
  const primary = await p.untilWhole(WHOLE_WITHIN_MS)
  // Not through the door of the node whose agent dies: what that door does then is told elsewhere.
  const balancers = p.nodes.filter((node) => node !== primary)
  const l = new Ledger(balancers.map((node) => ({ node, host: p.address(node), port: BALANCER })))
  ledger = l
  await l.begin(2)
  await l.untilAcknowledged(50, 30_000)
  return { place: p, ledger: l, primary }
}

async function standing(p: Place): Promise<object> {
  const { term, primary, instances } = serviceOf(await p.status(), 'db')
  return { term, primary, pids: Object.fromEntries(instances.map(({ node, pid }) => [node, pid])) }
}

test('killed and started again at once, beside the primary and beside a standby: the same servers in the same term', async () => {
  const { place: p, ledger: l, primary } = await begin()
  const before = await standing(p)
  for (const node of [primary, ...p.nodes.filter((one) => one !== primary)]) {
    const [from, agent] = [clock.mono(), p.agent(node)]
    const slowness = watchSlowness()
    p.killAgent(node)
    await until({ clock, everyMs: 20, withinMs: 20_000, what: `another agent of ${node}` }, () => {
      return p.agent(node) !== undefined && p.agent(node)?.pid !== agent?.pid
    })
    await p.untilWhole(WHOLE_WITHIN_MS)
    await l.untilAcknowledged(20, 30_000)
    expect(await standing(p), `the agent of ${node} was killed`).toEqual(before)
    expect(l.gapBetween(from, clock.mono())).toBeLessThan(1_000 + 6 * (await slowness.ms()))
  }
  expect(l.twoWriters()).toEqual([])
}, 240_000)

test('killed beside the primary and away for three seconds: the same servers in the same term, and writes go on', async () => {
  const { place: p, ledger: l, primary } = await begin()
  const before = await standing(p)
  const from = clock.mono()
  const slowness = watchSlowness()
  p.killAgentForGood(primary)
  await sleep(clock, 3_000) // the length of the fault
  await l.untilAcknowledged(20, 30_000)
  expect(await standing(p)).toEqual(before)
  expect(l.gapBetween(from, clock.mono())).toBeLessThan(1_000 + 6 * (await slowness.ms()))
  p.startNode(primary)
  await p.untilWhole(WHOLE_WITHIN_MS)
  expect(await standing(p)).toEqual(before)
}, 240_000)

test('killed together with its server: that is no silence, and another one leads at once', async () => {
  const { place: p, ledger: l, primary } = await begin()
  const from = clock.mono()
  const slowness = watchSlowness()
  const server = p.postmaster(primary)
  p.killAgentForGood(primary)
  if (server) process.kill(server.pid, 'SIGKILL')
  await l.untilAcknowledged(200, 30_000)
  expect(l.gapBetween(from, clock.mono())).toBeLessThan(2_500 + 6 * (await slowness.ms()))
  expect(serviceOf(await p.status(), 'db').primary).not.toBe(primary)
  p.startNode(primary)
  await p.untilWhole(WHOLE_WITHIN_MS)
  await expectAllThere(p, l)
}, 240_000)

test('away for longer than an agent takes to come back: another one leads, nothing is lost, the old one follows later', async () => {
  const { place: p, ledger: l, primary } = await begin()
  // One that came past the doors sits in a transaction for ever: the old primary may not wait for it when it hears of its end.
  const forgotten = await p.session(primary)
  await forgotten.query('begin; create table never_to_be_seen ()')
  p.killAgentForGood(primary)
  await until({ clock, everyMs: 50, withinMs: 60_000, what: 'another primary' }, async () => {
    const { primary: leads } = serviceOf(await p.status(), 'db')
    return leads !== null && leads !== primary
  })
  await l.untilAcknowledged(50, 30_000)
  p.startNode(primary)
  expect(await p.untilWhole(WHOLE_WITHIN_MS)).not.toBe(primary)
  await expect(forgotten.query('commit')).rejects.toThrow()
  await expectAllThere(p, l)
}, 240_000)

async function expectAllThere(p: Place, l: Ledger): Promise<void> {
  await l.stop()
  const primary = await p.untilWhole(WHOLE_WITHIN_MS)
  const there = new Set((await p.ask(primary, 'select id::int from ledger')).map((row) => row.id as number))
  expect(l.missingFrom(there)).toEqual([])
  expect(l.twoWriters()).toEqual([])
}
