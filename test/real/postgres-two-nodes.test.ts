/**
 * Two nodes, and what was written in the config for the day on which one of them is lost.
 *
 * Exercises: api, balancer, client, drivers/postgres, local, stores. Engines: postgresql, network namespaces.
 */
import { afterEach, expect, test } from 'vitest'
import { systemClock as clock } from '../../src/lib/clock.ts'
import { until } from '../../src/lib/until.ts'
import { serviceOf } from './cluster.ts'
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

async function begin(
  degrade: 'block' | 'run-alone',
): Promise<{ p: Place; l: Ledger; primary: string; standby: string }> {
  const p = new Place({ plain: true, nodes: ['a', 'b'], degrade })
  place = p
  p.start()
  const primary = await p.untilWhole(WHOLE_WITHIN_MS)
  const l = new Ledger(p.nodes.map((node) => ({ node, host: p.address(node), port: BALANCER })))
  ledger = l
  await l.begin(2)
  await l.untilAcknowledged(50, 30_000)
  return { p, l, primary, standby: primary === 'a' ? 'b' : 'a' }
}

/** For a while no row is acknowledged. */
async function untilWritesWait(l: Ledger): Promise<void> {
  let [count, since] = [l.acknowledged.length, clock.mono()]
  await until({ clock, everyMs: 50, withinMs: 30_000, what: 'writes that wait' }, () => {
    if (l.acknowledged.length !== count) [count, since] = [l.acknowledged.length, clock.mono()]
    return clock.mono() - since > 4_000
  })
}

async function expectAllThere(p: Place, l: Ledger): Promise<void> {
  const primary = await p.untilWhole(WHOLE_WITHIN_MS)
  await l.untilAcknowledged(20, 30_000)
  await l.stop()
  const there = new Set((await p.ask(primary, 'select id::int from ledger')).map((row) => row.id as number))
  expect(l.missingFrom(there)).toEqual([])
  expect(l.twoWriters()).toEqual([])
  expect(l.unseen).toEqual([])
}

test("degrade 'block', the standby's node is lost: writes wait, `why` says for whom, and they go on when it is back", async () => {
  const { p, l, primary, standby } = await begin('block')
  await p.killNode(standby)
  await untilWritesWait(l)
  await until({ clock, everyMs: 100, withinMs: 30_000, what: '`why` that says for whom writes wait' }, async () => {
    const { now, problems } = await p.client.why('db')
    return [now, ...problems.map(({ why }) => why)]
      .join('\n')
      .includes(`writes to db are blocked: ${standby} is unreachable`)
  })
  expect(serviceOf(await p.status(), 'db').primary).toBe(primary)
  p.startNode(standby)
  await expectAllThere(p, l)
}, 240_000)

test("degrade 'block', the primary's node is lost: there is no primary, and nothing is lost when it is back", async () => {
  const { p, l, primary } = await begin('block')
  await p.killNode(primary)
  await untilWritesWait(l)
  p.startNode(primary)
  await expectAllThere(p, l)
}, 240_000)

test("degrade 'run-alone', the standby's node is lost: writes go on with one copy, which is said", async () => {
  const { p, l, standby } = await begin('run-alone')
  await p.killNode(standby)
  await l.untilAcknowledged(200, 60_000)
  const [row] = await p.ask(standby === 'a' ? 'b' : 'a', 'show synchronous_standby_names')
  expect(row).toEqual({ synchronous_standby_names: '' })
  p.startNode(standby)
  await expectAllThere(p, l)
}, 240_000)

test("degrade 'run-alone', the primary's node is lost: the other one leads with the only copy", async () => {
  const { p, l, primary, standby } = await begin('run-alone')
  await p.killNode(primary)
  await l.untilAcknowledged(200, 60_000)
  expect(serviceOf(await p.status(), 'db').primary).toBe(standby)
  p.startNode(primary)
  await expectAllThere(p, l)
}, 240_000)
