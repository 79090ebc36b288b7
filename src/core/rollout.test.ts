import { describe, expect, it } from 'vitest'
import { cluster, copy, database, led, peer, running, stopped, view, web, worker } from '../../test/made-up.ts'
import { decide } from './decide.ts'
import type { InstanceReport, ServiceSpec } from './model.ts'
import type { RolloutRecord } from './records.ts'
import { targetOf } from './rollout.ts'
import type { StoreFacts } from './store-facts.ts'
import type { PeerFacts } from './view.ts'

const OLD = { outdated: { why: 'its environment changed', needs: 'restart' } } as const
const IN_PLACE = { outdated: { why: 'max_connections is lowered', needs: 'in-place' } } as const

interface Given {
  readonly service: ServiceSpec
  readonly self?: string
  /** The instance of each node; a text says what its node is. */
  readonly on: Readonly<Record<string, InstanceReport | PeerFacts['state']>>
  readonly rollout?: Partial<RolloutRecord>
  readonly store?: Partial<StoreFacts>
}

/** What `self` does about the service: its step, or the sentence of what it waits for. */
function turn({ service, self = 'a', on, rollout, store }: Given) {
  const given: StoreFacts['rollouts'] = rollout && {
    [service.name]: { target: targetOf(service), turns: [], revision: 5, ...rollout },
  }
  const peers = Object.entries(on)
    .filter(([node]) => node !== self)
    .map(([node, instance]): [string, PeerFacts] =>
      typeof instance === 'string'
        ? [node, peer(node, [running(service.name, OLD)], { state: instance })]
        : [node, peer(node, [instance])],
    )
  const own = on[self]
  const seen = view({
    self,
    cluster: cluster([service], Object.keys(on)),
    peers: Object.fromEntries(peers),
    store: { rollouts: given, ...store },
    local: {
      instances: typeof own === 'object' ? { [service.name]: own } : {},
      leases: store?.leads?.[service.name]?.node === self ? { [service.name]: { term: 3, endsInMs: 1_500 } } : {},
    },
  })
  const { acts, problems } = decide(seen)
  const step = acts.find(({ rule }) => rule !== 'store-away')?.step
  const waits = problems.find(({ rule }) => rule === 'instance-outdated' || rule.startsWith('rollout'))
  return { step, waits: step ? undefined : waits?.why }
}

const taken = (...turns: string[]) => ({ kind: 'rollout', record: { turns } })
const old = (service: string, given: Partial<InstanceReport> = {}) => running(service, { ...OLD, ...given })

describe('the order in which instances of an active-active service are replaced', () => {
  const service = web()
  const on = { a: old('web'), b: old('web'), c: old('web') }

  it('one node takes a turn and the others wait', () => {
    expect(turn({ service, on }).step).toMatchObject({ ...taken('a'), revision: 0 })
    expect(turn({ service, on, self: 'b' }).waits).toContain('waits for its turn')
    expect(turn({ service, on, self: 'b', rollout: { turns: ['a'] } }).waits).toContain('waits for its turn')
  })

  it('as many at once as `atOnce` says', () => {
    const two = web({ update: { atOnce: 2, pauseMs: 1_000, onFailure: 'stop' } })
    expect(turn({ service: two, on, self: 'b' }).step).toMatchObject(taken('b'))
    expect(turn({ service: two, on, self: 'b', rollout: { turns: ['a'] } }).step).toMatchObject(taken('a', 'b'))
    expect(turn({ service: two, on, self: 'c', rollout: { turns: ['a', 'b'] } }).step).toBeUndefined()
  })

  it('what is unhealthy goes first: nothing is lost by it', () => {
    const ill = { ...on, c: old('web', { health: 'unhealthy', healthForMs: 100 }) }
    expect(turn({ service, on: ill }).step).toBeUndefined()
    expect(turn({ service, on: ill, self: 'c' }).step).toMatchObject(taken('c'))
  })

  it('waits while another instance is missing, whatever took it', () => {
    expect(turn({ service, on: { ...on, c: stopped('web') } }).waits).toContain('waits for its turn')
    expect(turn({ service, on: { ...on, c: 'suspect' } }).waits).toContain('waits for its turn')
    // It belongs elsewhere now, and two nodes are left for two instances.
    expect(turn({ service, on: { ...on, c: 'lost' } }).step).toMatchObject(taken('a'))
  })

  it('waits for what is new and has not been healthy for long, wherever it was started', () => {
    expect(turn({ service, on: { ...on, c: running('web', { healthForMs: 9_000 }) } }).step).toBeUndefined()
    expect(turn({ service, on: { ...on, c: running('web', { failures: 1 }) } }).step).toBeUndefined()
    expect(turn({ service, on: { ...on, c: running('web') } }).step).toMatchObject(taken('a'))
    // Also one that is outdated by now: it goes first.
    const young = { ...on, c: old('web', { healthForMs: 9_000 }) }
    const rollout = { target: 'of an earlier config' }
    expect(turn({ service, on: young }).step).toMatchObject(taken('a'))
    expect(turn({ service, on: young, rollout }).step).toBeUndefined()
    expect(turn({ service, on: young, rollout, self: 'c' }).step).toMatchObject(taken('c'))
    const ill = { ...young, b: old('web', { health: 'unhealthy', healthForMs: 100 }) }
    expect(turn({ service, on: ill, rollout, self: 'c' }).step).toBeUndefined()
    expect(turn({ service, on: ill, rollout, self: 'b' }).step).toMatchObject(taken('b'))
  })

  it('nothing is replaced while the store is away, in a turn or not', () => {
    const store = { reachable: false, why: 'gone' }
    expect(turn({ service, on, store }).step).toBeUndefined()
    expect(turn({ service, on, store, rollout: { turns: ['a'] } }).step).toBeUndefined()
  })
})

describe('a turn', () => {
  const service = web()
  const others = { b: running('web'), c: old('web') }
  const rollout = { turns: ['a'] }

  it('begins with the end of the old instance, and the new one is started as any that is missing', () => {
    expect(turn({ service, on: { a: old('web'), ...others }, rollout }).step).toMatchObject({ kind: 'stop' })
    expect(turn({ service, on: { a: stopped('web'), ...others }, rollout }).step).toMatchObject({ kind: 'start' })
  })

  it('ends when the new instance has been healthy for the pause, and not before', () => {
    const whenHealthyFor = (healthForMs: number) =>
      turn({ service, rollout, on: { a: running('web', { healthForMs }), ...others } })
    expect(whenHealthyFor(9_999).step).toBeUndefined()
    expect(whenHealthyFor(10_000).step).toMatchObject({ kind: 'rollout', record: { turns: [] }, revision: 5 })
  })

  it('outlasts another config: its instance is down for the one as for the other', () => {
    const earlier = { target: 'of an earlier config', turns: ['c'] }
    const on = { a: old('web'), b: old('web'), c: stopped('web') }
    expect(turn({ service, on, rollout: earlier }).step).toBeUndefined()
    expect(turn({ service, on, rollout: earlier, self: 'c' }).step).toMatchObject({ kind: 'start' })
    expect(turn({ service, on: { ...on, c: old('web') }, rollout: earlier, self: 'c' }).step).toMatchObject({
      kind: 'stop',
    })
  })

  it('of a lost node is over, and one node says so', () => {
    const on = { a: old('web'), b: old('web'), c: 'lost' as const }
    expect(turn({ service, on, rollout: { turns: ['c'] } }).step).toMatchObject(taken())
    expect(turn({ service, on, rollout: { turns: ['c'] }, self: 'b' }).step).toBeUndefined()
    expect(turn({ service, on: { ...on, c: 'condemned' }, rollout: { turns: ['c'] } }).step).toBeUndefined()
  })

  it('of a node where the instance does not belong any more is handed back', () => {
    const one = web({ nodes: ['b', 'c'], instances: 2 })
    expect(turn({ service: one, on: { a: stopped('web'), ...others }, rollout }).step).toMatchObject(taken())
  })
})

describe('a new instance that fails', () => {
  const service = web()
  const failedOn = (given: Partial<InstanceReport>) => ({
    a: stopped('web', { failures: 1, note: 'ended with code 1', retryInMs: 500, ...given }),
    b: old('web'),
    c: old('web'),
  })
  const failed = { node: 'a', why: 'the new instance of web on a failed: ended with code 1' }

  it('in its turn stops the roll-out, and the record says why', () => {
    const { step } = turn({ service, on: failedOn({}), rollout: { turns: ['a'] } })
    expect(step).toMatchObject({ kind: 'rollout', record: { turns: [], failed } })
  })

  it('is not the old one that fails: that counts against the old version', () => {
    const on = { a: old('web', { failures: 3, health: 'unhealthy', healthForMs: 0 }), b: old('web'), c: old('web') }
    expect(turn({ service, on, rollout: { turns: ['a'] } }).step).toMatchObject({ kind: 'stop' })
  })

  it('keeps all others from going, and it is told', () => {
    const { step, waits } = turn({ service, on: failedOn({}), rollout: { failed }, self: 'b' })
    expect(step).toBeUndefined()
    expect(waits).toContain('stopped, b, c run as before')
  })

  it('does not stop the roll-out of the next config', () => {
    const rollout = { target: 'of an earlier config', failed }
    const on = { a: old('web'), b: old('web'), c: old('web') }
    expect(turn({ service, on, rollout }).step).toMatchObject({ kind: 'rollout', record: { turns: ['a'] } })
    expect(turn({ service, on, rollout }).step).not.toHaveProperty('record.failed')
  })

  it('brings the config before back where that is asked for, by one node, and not when there is none', () => {
    const back = web({ update: { atOnce: 1, pauseMs: 10_000, onFailure: 'rollback' } })
    const on = { a: stopped('web', { retryInMs: 500 }), b: old('web'), c: old('web') }
    expect(turn({ service: back, on, rollout: { failed } }).step).toMatchObject({ kind: 'roll-back', service: 'web' })
    expect(turn({ service: back, on, rollout: { failed }, self: 'b' }).step).toBeUndefined()
    const noWayBack = { failed: { ...failed, noWayBack: true as const } }
    expect(turn({ service: back, on, rollout: noWayBack }).step).toBeUndefined()
    expect(turn({ service: back, on, rollout: noWayBack }).waits).toContain('stopped')
  })
})

describe('a warm single writer', () => {
  const service = worker({ standby: 'warm', instances: 3 })
  const store = led('worker', 'a', 3)
  const primary = (given: Partial<InstanceReport> = {}) => running('worker', { role: 'primary', term: 3, ...given })
  const standby = (given: Partial<InstanceReport> = {}) => running('worker', { role: 'standby', ...given })

  it('has its standbys replaced first', () => {
    const on = { a: primary(OLD), b: standby(OLD), c: standby(OLD) }
    expect(turn({ service, on, store }).step).toBeUndefined()
    expect(turn({ service, on, store, self: 'b' }).step).toMatchObject(taken('b'))
  })

  it('has its primary switched over in its turn, to a standby that runs what is new, and never ended', () => {
    const on = { a: primary(OLD), b: standby(), c: standby() }
    expect(turn({ service, on, store }).step).toMatchObject(taken('a'))
    const { step } = turn({ service, on, store, rollout: { turns: ['a'] } })
    expect(step).toMatchObject({ kind: 'record', record: { switchover: { to: expect.stringMatching(/[bc]/) } } })
    // One that came back with what is old cannot go before the primary hands its turn back, and is no successor.
    const half = { ...on, b: standby(OLD) }
    expect(turn({ service, on: half, store, rollout: { turns: ['a'] } }).step).toMatchObject({
      kind: 'record',
      record: { switchover: { to: 'c' } },
    })
  })

  it('hands the turn of its primary back when no other node can become primary', () => {
    const on = { a: primary(OLD), b: standby(OLD), c: 'lost' as const }
    expect(turn({ service, on, store, rollout: { turns: ['a'] } }).step).toMatchObject(taken())
    const alone = { a: primary(OLD), b: 'lost' as const, c: 'lost' as const }
    expect(turn({ service, on: alone, store, rollout: { turns: ['a'] } }).step).toMatchObject(taken())
    expect(turn({ service, on: alone, store }).waits).toContain('no other node can become primary now')
  })

  it('of which there is one instance, on one node, is restarted there', () => {
    const single = worker({ instances: 1, nodes: ['a'] })
    const on = { a: primary(OLD), b: stopped('worker'), c: stopped('worker') }
    expect(turn({ service: single, on, store, rollout: { turns: ['a'] } }).step).toMatchObject({ kind: 'stop' })
  })
})

describe('a cold single writer', () => {
  const service = worker({ instances: 2 })
  const store = led('worker', 'a', 3)
  const primary = running('worker', { role: 'primary', term: 3, ...OLD })
  const on = { a: primary, b: stopped('worker'), c: stopped('worker') }
  const to = (() => {
    const { step } = turn({ service, on, store })
    return step?.kind === 'rollout' ? (step.record.turns[0] ?? '') : ''
  })()
  const other = to === 'b' ? 'c' : 'b'

  it('moves to a successor, whose turn it is: only as primary it can prove itself', () => {
    expect(to).toMatch(/[bc]/)
    const rollout = { turns: [to] }
    expect(turn({ service, on, store, rollout }).step).toMatchObject({ kind: 'record', record: { switchover: { to } } })
    expect(turn({ service, on, store, rollout, self: to }).step).toBeUndefined()
  })

  it('moves to the node that has the turn, also when another one would be the best by now', () => {
    const rollout = { turns: [other] }
    const { step } = turn({ service, on, store, rollout })
    expect(step).toMatchObject({ kind: 'record', record: { switchover: { to: other } } })
  })

  it('ends the turn of a successor that cannot lead, and waits for one that is about to', () => {
    const backingOff = { ...on, [to]: stopped('worker', { retryInMs: 5_000 }) }
    expect(turn({ service, on: backingOff, store, rollout: { turns: [to] }, self: to }).step).toMatchObject(taken())
    const free = { services: store.services ?? {}, leads: {}, leadFreeForMs: { worker: 10 } }
    const gone = { a: stopped('worker', { term: 3 }), b: stopped('worker'), c: stopped('worker') }
    expect(turn({ service, on: gone, store: free, rollout: { turns: [other] }, self: other }).step).toBeUndefined()
  })

  it('has replaced it when the successor was healthy for a while', () => {
    const moved = { ...on, a: stopped('worker'), [to]: running('worker', { role: 'primary', term: 3 }) }
    const { step } = turn({ service, on: moved, store: led('worker', to, 3), rollout: { turns: [to] }, self: to })
    expect(step).toMatchObject(taken())
  })
})

describe('a replicated database', () => {
  const service = database()
  const quorum = { id: 'q', term: 3, primary: 'a', standbys: ['b', 'c'], k: 1 }
  const store = led('db', 'a', 3, { replica: { phase: 'serving', by: 'a', quorumConfigs: [quorum] } })
  const { leads: _, ...served } = store
  const lead = (given: Partial<InstanceReport> = {}) =>
    running('db', {
      role: 'primary',
      term: 3,
      replica: copy({
        pledged: 3,
        quorum,
        quorumDurable: true,
        streaming: ['b', 'c'].map((node) => ({ node, lagBytes: 0, isSynchronous: true })),
      }),
      ...given,
    })
  const standby = (given: Partial<InstanceReport> = {}) =>
    running('db', { role: 'standby', replica: copy({ pledged: 3, receivingFrom: 'a' }), ...given })

  it('has its standbys restarted first, and its primary by a switchover', () => {
    const on = { a: lead(OLD), b: standby(OLD), c: standby(OLD) }
    expect(turn({ service, on, store: served }).step).toBeUndefined()
    expect(turn({ service, on, store: served, self: 'b' }).step).toMatchObject(taken('b'))
    const last = { a: lead(OLD), b: standby(), c: standby() }
    expect(turn({ service, on: last, store: served }).step).toMatchObject(taken('a'))
    expect(turn({ service, on: last, store: served, rollout: { turns: ['a'] } }).step).toMatchObject({
      kind: 'record',
      record: { switchover: { to: 'b' } },
    })
  })

  it('has its primary restarted in place and first where its standbys must wait for that', () => {
    const on = { a: lead(IN_PLACE), b: standby(IN_PLACE), c: standby(IN_PLACE) }
    expect(turn({ service, on, store: served, self: 'b' }).step).toBeUndefined()
    expect(turn({ service, on, store: served }).step).toMatchObject(taken('a'))
    expect(turn({ service, on, store: served, rollout: { turns: ['a'] } }).step).toMatchObject({ kind: 'stop' })
    // Also where a standby had a turn for another change.
    const rollout = { target: 'of an earlier config', turns: ['b'] }
    expect(turn({ service, on, store: served, rollout, self: 'b' }).step).toMatchObject(taken())
  })
})

it('an instance that is as the config says is left alone', () => {
  const service = web()
  const on = { a: running('web'), b: old('web'), c: old('web') }
  expect(turn({ service, on })).toEqual({ step: undefined, waits: undefined })
})
