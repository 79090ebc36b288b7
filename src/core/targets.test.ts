import { describe, expect, test } from 'vitest'
import { cluster, copy, database, peer, running, view, web } from '../../test/made-up.ts'
import type { Phase, ReplicaReport } from './replicated/quorum-config.ts'
import { routesFor } from './routing.ts'
import type { Route } from './routing-table.ts'
import { type BalancerSays, heardByBalancers, heldAt, holdProgress, leftBy, wentAhead } from './targets.ts'
import type { View } from './view.ts'

const MAX = 1_000
const db = database({
  replication: { k: 1, degrade: 'block', maxLagBytes: MAX },
  endpoints: [
    { purpose: 'primary', protocol: 'tcp', port: 5432 },
    { purpose: 'standby', protocol: 'tcp', port: 5433 },
  ],
})
const quorum = { term: 1, primary: 'a', standbys: ['b', 'c'], k: 1, id: 'one' }

function replica(given: Partial<ReplicaReport> = {}): ReplicaReport {
  return copy({ position: { term: 1, timeline: 1, log: '100000' }, quorum, receivingFrom: 'a', ...given })
}

/** b has `notReceived` bytes to receive and `notReplayed` to replay. */
function routes(notReceived: number, notReplayed: number, before?: readonly Route[]): readonly Route[] {
  const streaming = [
    { node: 'b', lagBytes: notReceived },
    { node: 'c', lagBytes: 0 },
  ]
  const standby = (node: string, replayLagBytes: number) =>
    peer(node, [running('db', { role: 'standby', replica: replica({ replayLagBytes }) })])
  const now = view({
    cluster: cluster([db]),
    store: {
      services: {
        db: { term: 1, primary: 'a', revision: 3, replica: { phase: 'serving', by: 'a', quorumConfigs: [quorum] } },
      },
    },
    local: {
      instances: {
        db: running('db', {
          role: 'primary',
          term: 1,
          replica: replica({ quorumDurable: true, receivingFrom: null, streaming }),
        }),
      },
    },
    peers: { b: standby('b', notReplayed), c: standby('c', 0) },
  })
  return routesFor(now, before)
}

const readers = (all: readonly Route[]) =>
  all
    .find(({ purpose }) => purpose === 'standby')
    ?.targets.map(({ node, state }) => `${node} ${state}`)
    .join(', ')

test('a standby that is too far behind is drained, whether it has not received or not replayed', () => {
  expect(readers(routes(0, 0))).toBe('b serving, c serving')
  expect(readers(routes(600, 400))).toBe('b serving, c serving')
  expect(readers(routes(600, 401))).toBe('b draining, c serving')
  expect(readers(routes(MAX + 1, 0))).toBe('b draining, c serving')
})

test('once left out it comes back only when it is much closer: it does not flap around the limit', () => {
  const out = routes(MAX + 1, 0)
  expect(readers(routes(MAX - 1, 0, out))).toBe('b draining, c serving')
  const back = routes(MAX / 2, 0, out)
  expect(readers(back)).toBe('b serving, c serving')
  expect(readers(routes(MAX - 1, 0, back))).toBe('b serving, c serving')
})

const OPEN = ['127.0.0.1:5432']
const HEARD: BalancerSays = { openDoors: OPEN, leaving: ['db@a'] }

function heard(own: BalancerSays, other: BalancerSays, state: 'alive' | 'suspect' | 'lost' = 'alive'): boolean {
  const seen = peer('b', [], { state })
  const peers = { b: { ...seen, report: seen.report && { ...seen.report, ...other } } }
  return heardByBalancers(view({ cluster: cluster([db]), peers }), 'db', own)
}

test('a switchover has been heard of when every open balancer of a node that lives says so', () => {
  expect(heard(HEARD, HEARD)).toBe(true)
  expect(heard(HEARD, { openDoors: OPEN })).toBe(false)
  expect(heard({ openDoors: OPEN, leaving: [] }, HEARD)).toBe(false)
  expect(heard(HEARD, { openDoors: OPEN, leaving: ['db@b', 'other@a'] })).toBe(false)
  expect(heard(HEARD, { openDoors: [], leaving: [] })).toBe(true)
  expect(heard(HEARD, { openDoors: OPEN }, 'suspect')).toBe(false) // late, and its balancer goes on working
  expect(heard(HEARD, { openDoors: OPEN }, 'lost')).toBe(true)
})

test('a route says whose sessions it takes away', () => {
  const target = { id: 'x', host: '127.0.0.1', port: 1, term: 1 }
  const targets = [
    { ...target, node: 'a', state: 'draining' as const, leaves: true as const },
    { ...target, node: 'b', state: 'draining' as const },
  ]
  expect(leftBy([{ service: 'db', targets }])).toEqual(['db@a'])
})

const movable = web({ ...db, endpoints: [{ purpose: 'primary', protocol: 'postgres', port: 5432 }] })
const vacancy = { rule: 'switchover-requested' as const, why: 'asked', by: 'a', noticedAt: 1, successor: 'b' }

/** a switches over to b. */
function switchingOver(
  copy: Partial<ReplicaReport> = {},
  says: BalancerSays = {},
  phase: Phase = 'switching-over',
  service = movable,
) {
  const seen = peer('b', [running('db', { role: 'standby', replica: replica(copy) })])
  return view({
    cluster: cluster([service]),
    store: {
      services: {
        db: { term: 1, primary: 'a', revision: 3, vacancy, replica: { phase, by: 'a', quorumConfigs: [quorum] } },
      },
    },
    local: {
      instances: { db: running('db', { role: 'primary', term: 1, replica: replica({ quorumDurable: true }) }) },
    },
    peers: { b: { ...seen, report: seen.report && { ...seen.report, openDoors: OPEN, ...says } } },
  })
}

test('a table names who is to lead next, for as long as that is being brought about and it could', () => {
  const next = (now: View) => routesFor(now)[0]?.targets.filter((target) => target.next === true)
  expect(next(switchingOver())).toMatchObject([{ node: 'b', state: 'draining', next: true }])
  expect(next(switchingOver({}, {}, 'recruiting'))).toHaveLength(1)
  expect(next(switchingOver({}, {}, 'serving'))).toEqual([])
  expect(next(switchingOver({ quarantined: true }))).toEqual([])
})

test('balancers have logged in ahead when every open one says so of the next primary, or when there is nothing to do', () => {
  const went = (own: BalancerSays, now: View, service = movable) => wentAhead(now, service, { openDoors: OPEN, ...own })
  const there = { ahead: ['db@b'] }
  expect(went(there, switchingOver({}, there))).toBe(true)
  expect(went(there, switchingOver())).toBe(false)
  expect(went({}, switchingOver({}, there))).toBe(false)
  expect(went({ ahead: ['db@c'] }, switchingOver({}, there))).toBe(false)
  expect(went({}, switchingOver({ diverged: true }))).toBe(true) // no replica could become primary
  expect(went({}, switchingOver({}, {}, 'switching-over', db), db)).toBe(true) // these balancers move no sessions
})

describe('a primary that is about to end leading', () => {
  const own = (change: Parameters<typeof running>[1]) => {
    const led = { role: 'primary' as const, term: 1, replica: replica({ quorumDurable: true }), ...change }
    return view({
      cluster: cluster([movable]),
      store: { services: { db: { term: 1, primary: 'a', revision: 3 } } },
      local: { instances: { db: running('db', led) } },
    })
  }
  const target = (now: View) => routesFor(now)[0]?.targets[0]

  test('first lets nothing begin, then has sessions leave', () => {
    expect(target(own({}))).not.toHaveProperty('holds')
    expect(target(own({ holding: 7 }))).toMatchObject({ state: 'draining', holds: 7 })
    expect(target(own({ holding: 7 }))).not.toHaveProperty('leaves')
    expect(target(own({ holding: 7, state: 'stopping' }))).toMatchObject({ state: 'draining', holds: 7, leaves: true })
  })

  test('leads on as if nothing had been when the hold ends', () => {
    const before = routesFor(own({}))
    const held = routesFor(own({ holding: 7 }), before)
    expect(routesFor(own({}), held)).toEqual(before)
  })

  test('another number is another hold', () => {
    expect(heldAt(routesFor(own({ holding: 7 })))).toEqual(['db@a#7'])
    expect(heldAt(routesFor(own({ holding: 8 })))).toEqual(['db@a#8'])
    expect(heldAt(routesFor(own({})))).toEqual([])
  })
})

describe('a hold', () => {
  const progress = (
    mine: BalancerSays,
    theirs: BalancerSays,
    state: 'alive' | 'suspect' | 'lost' = 'alive',
    of = movable,
  ) => {
    const seen = peer('b', [], { state })
    const peers = { b: { ...seen, report: seen.report && { ...seen.report, openDoors: OPEN, ...theirs } } }
    return holdProgress(view({ cluster: cluster([of]), peers }), of, 7, { openDoors: OPEN, ...mine })
  }
  const holds = { holding: ['db@a#7'] }
  const still = { ...holds, still: ['db@a#7'] }

  test('is in force when every balancer of a node that lives says so', () => {
    expect(progress(holds, holds)).toBe('held')
    expect(progress(holds, still)).toBe('held')
    expect(progress(holds, {})).toBe('asked')
    expect(progress({}, holds)).toBe('asked')
    expect(progress(holds, {}, 'suspect')).toBe('asked') // late, and its balancer goes on working
    expect(progress(holds, {}, 'lost')).toBe('held')
  })

  test('has nothing open any more when every balancer says so of this very hold', () => {
    expect(progress(still, still)).toBe('still')
    expect(progress(still, { ...holds, still: ['db@a#6'] })).toBe('held')
    expect(progress(still, { ...holds, still: ['db@b#7'] })).toBe('held')
    expect(progress(still, { openDoors: [] })).toBe('still')
  })

  test('is ready when every balancer says so of this very hold', () => {
    const ready = { ...still, ready: ['db@a#7'] }
    expect(progress(ready, ready)).toBe('ready')
    expect(progress(ready, still)).toBe('still')
    expect(progress(ready, { ...still, ready: ['db@a#6'] })).toBe('still')
    expect(progress(ready, { openDoors: [] })).toBe('ready')
    expect(progress(ready, {}, 'suspect')).toBe('asked')
    expect(progress(ready, {}, 'lost')).toBe('ready')
  })

  test('of a service whose sessions no balancer moves waits for no balancer', () => {
    expect(progress({}, {}, 'alive', db)).toBe('ready')
  })
})
