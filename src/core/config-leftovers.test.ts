/** What a config no longer names, or an operator stopped, ends in order and leaves nothing that could come back to harm. */
import { describe, expect, it } from 'vitest'
import {
  cluster,
  database,
  free,
  led,
  type MadeUp,
  peer,
  running,
  stopped,
  view,
  web,
  worker,
} from '../../test/made-up.ts'
import { decide } from './decide.ts'
import type { ClusterSpec, InstanceReport, ServiceSpec } from './model.ts'
import type { ConfigRecord } from './records.ts'
import type { QuorumConfig } from './replicated/quorum-config.ts'
import type { StoreFacts } from './store-facts.ts'
import type { PeerFacts } from './view.ts'

const WEB = web()
const DB = database()

interface Given extends Omit<MadeUp, 'cluster'> {
  readonly spec?: ClusterSpec
  readonly leaving?: readonly string[]
  readonly removed?: readonly ServiceSpec[]
}

function seen({ spec = cluster([WEB]), leaving = [], removed = [], store, ...given }: Given) {
  const config: ConfigRecord & { revision: number } = {
    schema: 1,
    number: 4,
    hash: '',
    spec,
    leaving: spec.nodes.filter(({ name }) => leaving.includes(name)),
    removed,
    run: 'r',
    at: 0,
    by: '',
    message: '',
    version: '',
    revision: 9,
  }
  const made = view({ ...given, cluster: spec, store: { config, ...store } })
  return { ...made, config: { number: 4, leaving, removed } }
}

const steps = (given: Given, rule: string) =>
  decide(seen(given))
    .acts.filter((act) => act.rule === rule)
    .map(({ step }) => step)

/** A node that has heard of the present config. */
function knows(
  node: string,
  instances: readonly InstanceReport[] = [],
  state: PeerFacts['state'] = 'alive',
): PeerFacts {
  const facts = peer(node, instances, { state })
  return { ...facts, report: facts.report && { ...facts.report, config: 4 } }
}

describe('a removed service', () => {
  const removed = [worker()]
  const rest = { b: knows('b'), c: knows('c') }
  const removal = (given: Omit<Given, 'removed'>) => steps({ removed, ...given }, 'service-removed')
  const forgets = { kind: 'write-config', revision: 9, forgets: ['worker'], record: { removed: [] } }

  it('ends, gives its lease up, is set aside, and then its records go', () => {
    const lead = led('worker', 'a', 3)
    const runs = { instances: { worker: running('worker', { role: 'primary', term: 3 }) } }
    expect(removal({ local: { ...runs, leases: { worker: { term: 3, endsInMs: 900 } } }, store: lead })).toEqual([
      { kind: 'stop', service: 'worker' },
    ])
    const ended = { instances: { worker: stopped('worker', { term: 3 }) } }
    expect(removal({ local: ended, store: lead })).toMatchObject([{ kind: 'give-up-lead', service: 'worker' }])
    expect(removal({ local: ended })).toEqual([{ kind: 'retire', service: 'worker' }])
    expect(removal({ peers: rest })).toMatchObject([forgets])
  })

  it('keeps its records while another node has something of it', () => {
    for (const state of ['running', 'stopping', 'stopped'] as const)
      expect(removal({ peers: { ...rest, b: knows('b', [running('worker', { state })]) } })).toEqual([])
    for (const state of ['unknown', 'suspect', 'condemned'] as const)
      expect(removal({ peers: { ...rest, b: knows('b', [], state) } })).toEqual([])
  })

  it('keeps them while a node acts on the config before: it may start the service a moment later', () => {
    expect(removal({ peers: { ...rest, b: peer('b') } })).toEqual([])
  })

  it('does not wait for a lost node, unless that keeps data which a new service of the name would come upon', () => {
    const gone = { ...rest, c: knows('c', [running('worker')], 'lost') }
    expect(removal({ peers: gone })).toMatchObject([forgets])
    expect(steps({ removed: [DB], peers: gone }, 'service-removed')).toEqual([])
  })

  it('is not written about when this node alone has to end it: the store has forgotten it already', () => {
    const store = { config: { ...seen({}).store.config, removed: [] } as unknown as NonNullable<StoreFacts['config']> }
    expect(removal({ peers: rest, store })).toEqual([])
    const local = { instances: { worker: running('worker', { role: 'standby' }) } }
    expect(removal({ peers: rest, store, local })).toEqual([{ kind: 'stop', service: 'worker' }])
  })
})

describe('a stopped service', () => {
  const STOPPED = cluster([worker({ stopped: true })])
  const STARTED = cluster([worker()], ['a', 'b', 'c'])
  const all = (given: Given) => decide(seen({ spec: STOPPED, ...given })).acts.map(({ step }) => step)

  it('ends and gives its lease up', () => {
    const lead = led('worker', 'a', 3)
    const runs = { worker: running('worker', { role: 'primary', term: 3 }) }
    expect(all({ store: lead, local: { instances: runs } })).toEqual([{ kind: 'stop', service: 'worker' }])
    expect(all({ store: lead, local: { instances: { worker: stopped('worker', { term: 3 }) } } })).toMatchObject([
      { kind: 'give-up-lead', vacancy: { rule: 'service-stopped' } },
    ])
  })

  it('is started by no node, whatever happens', () => {
    expect(all({ store: free('worker', 'a', 3, 60_000) })).toEqual([])
    expect(all({ spec: cluster([web({ stopped: true }), { ...DB, stopped: true }]) })).toEqual([])
  })

  it('is led by the same node again when it is started, and that is no failover', () => {
    const vacancy = {
      rule: 'service-stopped' as const,
      why: 'worker was stopped by an operator',
      by: 'a',
      noticedAt: 1,
    }
    for (const primary of ['a', 'b', 'c']) {
      const store = free('worker', primary, 3, 0, { vacancy })
      const { problems, acts } = decide(seen({ spec: STARTED, self: primary, store }))
      expect(acts.map(({ step }) => step)).toMatchObject([{ kind: 'take-lead', term: 4 }])
      expect(problems.find(({ service }) => service === 'worker')?.rule).toBe('no-primary')
      const other = ['a', 'b', 'c'].find((name) => name !== primary) ?? ''
      expect(decide(seen({ spec: STARTED, self: other, store })).acts).toEqual([])
    }
  })
})

describe('a node that was taken out', () => {
  const spec = cluster([WEB, DB])
  const quorum: QuorumConfig = { id: 'q', term: 1, primary: 'b', standbys: ['c'], k: 1 }
  const replica = { phase: 'serving' as const, by: 'b', quorumConfigs: [quorum] }
  const record = (standbys: readonly string[]): Partial<StoreFacts> => ({
    services: {
      db: { term: 1, primary: 'b', revision: 6, replica: { ...replica, quorumConfigs: [{ ...quorum, standbys }] } },
    },
  })
  const given: Given = {
    spec,
    leaving: ['a'],
    peers: { b: knows('b', [running('web')]), c: knows('c', [running('web')]) },
  }
  const leaves = (more: Partial<Given>) => steps({ ...given, ...more }, 'node-leaving')

  it('leaves when nothing depends on it, and only if no record changed since that was decided', () => {
    expect(leaves({ store: record(['c']) })).toMatchObject([
      { kind: 'write-config', revision: 9, given: { web: 0, db: 6 }, record: { leaving: [] } },
    ])
  })

  it('stays while it is in a quorum, leads, or runs something', () => {
    expect(leaves({ store: record(['c', 'a']) })).toEqual([])
    expect(leaves({ store: record(['c']), local: { instances: { web: running('web') } } })).toEqual([])
    const leads = { ...record(['c']), leads: { web: { node: 'a', term: 1, lease: 'l' } } }
    expect(leaves({ store: leads })).toEqual([])
    expect(leaves({ store: { ...record(['c']), reachable: false, why: 'gone' } })).toEqual([])
  })

  it('does not write it a second time while a first one is under way or rests after a failure', () => {
    for (const backingOff of [false, true]) {
      const busy = { '': { step: 'write-config' as const, backingOff } }
      expect(leaves({ store: record(['c']), local: { busy } })).toEqual([])
    }
  })

  it('ends what was removed with it first', () => {
    const local = { instances: { worker: running('worker', { role: 'standby' }) } }
    expect(leaves({ removed: [worker()], local, store: record(['c']) })).toEqual([])
  })

  it('is forgotten by another node when it is lost, and not while a quorum names it', () => {
    const lost = { self: 'b', peers: { ...given.peers, a: knows('a', [running('web')], 'lost') } }
    expect(leaves({ ...lost, store: record(['c']) })).toMatchObject([{ kind: 'write-config', record: { leaving: [] } }])
    expect(leaves({ ...lost, self: 'c', store: record(['c']) })).toEqual([])
    expect(leaves({ ...lost, store: record(['c', 'a']) })).toEqual([])
  })

  it('sets its data aside when the config no longer has it, and only then ends', () => {
    const rest = cluster([WEB, DB], ['b', 'c'])
    const out = (instances: Record<string, InstanceReport>) =>
      decide(seen({ spec: rest, self: 'a', local: { stopping: true, instances } })).acts.map(({ step }) => step)
    expect(out({ db: running('db', { role: 'standby' }) })).toEqual([{ kind: 'stop', service: 'db' }])
    expect(out({ db: stopped('db'), web: stopped('web') })).toEqual([
      { kind: 'retire', service: 'db' },
      { kind: 'retire', service: 'web' },
    ])
    expect(out({})).toEqual([{ kind: 'exit' }])
  })

  it('counts as drained: nothing is placed there and nothing new is led there', () => {
    const { acts } = decide(seen({ ...given, store: record(['c']) }))
    expect(acts.filter(({ step }) => step.kind === 'start')).toEqual([])
  })
})
