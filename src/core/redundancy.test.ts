/** Each row: what is there, and what is said about it. Everything else is healthy. */
import { describe, expect, it } from 'vitest'
import { cluster, copy, database, led, peer, running, stopped, view, web, worker } from '../../test/made-up.ts'
import { standing } from './explain.ts'
import type { InstanceReport, NodeName, ServiceSpec } from './model.ts'
import { missingText, redundancyHead, redundancyOf } from './redundancy.ts'
import { expectedRto } from './replicated/expected-rto.ts'
import type { QuorumConfig, ReplicaReport } from './replicated/quorum-config.ts'
import type { PeerFacts, View } from './view.ts'

const quorum: QuorumConfig = { term: 4, primary: 'a', standbys: ['b', 'c'], k: 1, id: 'four' }
const lost: Partial<PeerFacts> = { state: 'lost', heardAgoMs: 5_000 }
const frozen: Partial<PeerFacts> = { state: 'condemned', heardAgoMs: 1_200 }

function replica(more: Partial<ReplicaReport> = {}): ReplicaReport {
  return copy({ pledged: 4, position: { term: 4, timeline: 1, log: '9' }, quorum, receivingFrom: 'a', ...more })
}

function standby(given: Partial<InstanceReport> = {}, more: Partial<ReplicaReport> = {}): InstanceReport {
  return running('db', { role: 'standby', replica: replica(more), ...given })
}

const primary = running('db', {
  role: 'primary',
  term: 4,
  replica: replica({ receivingFrom: null, quorumDurable: true, streaming: [] }),
})
/** Its server does not run: the position is not known, and the note says why. */
const down = (note: string) =>
  stopped('db', { note, failures: 3, replica: replica({ position: null, receivingFrom: null }) })

interface Seen {
  readonly spec?: ServiceSpec
  readonly quorumConfigs?: readonly QuorumConfig[]
  readonly b?: readonly [InstanceReport | null, Partial<PeerFacts>?]
  readonly c?: readonly [InstanceReport | null, Partial<PeerFacts>?]
  readonly store?: Partial<View['store']>
}

function databaseSeen({
  spec = database(),
  quorumConfigs = [quorum],
  b = [standby()],
  c = [standby()],
  store,
}: Seen): View {
  const record = { phase: 'serving' as const, by: 'a', quorumConfigs }
  const on = (node: NodeName, [instance, facts = {}]: readonly [InstanceReport | null, Partial<PeerFacts>?]) =>
    peer(node, instance ? [instance] : [], facts)
  return view({
    cluster: cluster([spec]),
    store: { services: { db: { term: 4, primary: 'a', revision: 3, replica: record } }, ...store },
    peers: { b: on('b', b), c: on('c', c) },
    local: { instances: { db: primary } },
  })
}

const two = { ...quorum, standbys: ['b'] }
const pair = database({ instances: 2, nodes: ['a', 'b'] })

describe('the redundancy of a database', () => {
  const table: readonly [what: string, seen: Seen, said: string, why: string][] = [
    ['three of three', {}, 'db is redundant: 3 of 3 replicas', ''],
    [
      'a standby whose disk is full',
      { c: [down('could not write lock file "postmaster.pid": No space left on device')] },
      'db is degraded: 2 of 3 replicas, one more loss stops writes; missing: c',
      'c: its server is stopped: could not write lock file "postmaster.pid": No space left on device',
    ],
    [
      'a standby whose folder cannot be read',
      { c: [down('could not access directory "/db": Permission denied')] },
      'db is degraded: 2 of 3 replicas, one more loss stops writes; missing: c',
      'c: its server is stopped: could not access directory "/db": Permission denied',
    ],
    [
      'a standby that was left out of the quorum',
      { quorumConfigs: [two], c: [down('ended with code 1')] },
      'db is degraded: 2 of 3 replicas, one more loss stops writes; missing: c',
      'c: its server is stopped: ended with code 1',
    ],
    [
      'a standby that catches up and is not in the quorum yet',
      { quorumConfigs: [two] },
      'db is degraded: 2 of 3 replicas, one more loss stops writes; missing: c',
      'c: it follows and is not in the quorum yet',
    ],
    [
      'a standby whose replay is paused',
      { c: [standby({ health: 'unhealthy', note: 'replay is paused' })] },
      'db is degraded: 2 of 3 replicas, one more loss stops writes; missing: c',
      'c: its server is unhealthy: replay is paused',
    ],
    [
      'a standby that streams from no primary',
      { c: [standby({ note: 'timeline 3 is not in its history' }, { receivingFrom: null })] },
      'db is degraded: 2 of 3 replicas, one more loss stops writes; missing: c',
      'c: it does not follow a: timeline 3 is not in its history',
    ],
    [
      'a standby that was cloned and has not caught up',
      { c: [standby({}, { quarantined: true })] },
      'db is degraded: 2 of 3 replicas, one more loss stops writes; missing: c',
      'c: it was rewound or cloned and has not caught up: it may not vote',
    ],
    [
      'a standby that never had data',
      { c: [stopped('db', { replica: replica({ position: null, pledged: 0 }) })] },
      'db is degraded: 2 of 3 replicas, one more loss stops writes; missing: c',
      'c: it has no replica yet',
    ],
    [
      'the last report of a frozen agent',
      { c: [standby(), frozen] },
      'db is degraded: 2 of 3 replicas, one more loss stops writes; missing: c',
      'c: it is silent: last heard 1.2 s ago',
    ],
    [
      'both standbys lost',
      { b: [standby(), lost], c: [standby(), lost] },
      'db is unhealthy: 1 of 3 replicas; missing: b, c',
      'b: it is lost: last heard 5.0 s ago; c: it is lost: last heard 5.0 s ago',
    ],
    [
      'a drained standby that went out of the quorum',
      { quorumConfigs: [two], store: { nodes: { c: { drained: true } } }, c: [stopped('db')] },
      'db is degraded: 2 of 3 replicas, one more loss stops writes; missing: c',
      'c: it is drained',
    ],
    [
      'a store that does not answer',
      { store: { reachable: false, why: 'the disk is full' } },
      'db is degraded: 3 of 3 replicas, one more loss stops writes; missing: store',
      'no failover is possible without the store: the disk is full',
    ],
    [
      'two that were asked for, and writes that wait when one is lost',
      { spec: pair, quorumConfigs: [two], c: [null] },
      'db is not redundant: 2 of 2 replicas as configured, one loss stops writes',
      '',
    ],
    [
      'two that were asked for, and one that goes on alone',
      { spec: { ...pair, replication: { k: 1, degrade: 'run-alone' } }, quorumConfigs: [two], c: [null] },
      'db is redundant: 2 of 2 replicas',
      '',
    ],
    [
      'one that was asked for',
      {
        spec: database({ instances: 1, nodes: ['a'], replication: { k: 0, degrade: 'run-alone' } }),
        quorumConfigs: [{ ...quorum, standbys: [], k: 0 }],
      },
      'db is not redundant: 1 of 1 replica as configured, one loss stops the service',
      '',
    ],
  ]
  for (const [what, seen, said, why] of table)
    it(`of ${what}`, () => {
      const { spec = database() } = seen
      const now = redundancyOf(databaseSeen(seen), spec)
      expect([redundancyHead('db', now), missingText(now.missing)]).toEqual([said, why])
    })

  it('never says that a loss stops nothing while the expected RTO is never', () => {
    for (const [, seen] of table) {
      const { spec = database() } = seen
      const now = databaseSeen(seen)
      const { oneMoreLoss } = redundancyOf(now, spec)
      if (expectedRto(now, spec)?.ifPrimaryDiesMs === null) expect(oneMoreLoss).not.toBe('nothing')
    }
  })

  it('has an expected RTO of never with the reason of the replica that is missing', () => {
    const full = databaseSeen({ c: [down('No space left on device')] })
    expect(expectedRto(full, database())).toEqual({
      ifPrimaryDiesMs: null,
      ifNodeIsLostMs: null,
      why: 'no failover possible: quorum unreachable (c: its server is stopped: No space left on device)',
    })
  })

  it('names the true reason of each replica that could not lead, not that there is no copy', () => {
    const full = databaseSeen({
      c: [down('No space left on device')],
      b: [standby({ health: 'unhealthy', note: 'replay is paused' })],
    })
    expect(standing(full, database()).map(({ node, able, why }) => [node, able, why])).toEqual([
      ['b', false, 'its server is unhealthy: replay is paused'],
      ['c', false, 'its server is stopped: No space left on device'],
    ])
  })
})

describe('the redundancy of a service whose instances all serve', () => {
  const on = (instance: InstanceReport | null, facts: Partial<PeerFacts> = {}, open?: readonly string[]) => {
    const told = peer('x', instance ? [instance] : [], facts)
    return { ...told, report: told.report && { ...told.report, openDoors: open } }
  }
  const all = { b: on(running('web')), c: on(running('web')) }
  const seen = (
    peers: Readonly<Record<string, PeerFacts>>,
    spec = web(),
    more: Partial<View['local']> = {},
    nodes = {},
  ) =>
    redundancyOf(
      view({
        cluster: cluster([spec]),
        peers,
        store: { nodes },
        local: { instances: { web: running('web') }, ...more },
      }),
      spec,
    )
  const crashed = stopped('web', { failures: 2, retryInMs: 900, note: 'ended with code 3' })

  const table: readonly [what: string, now: ReturnType<typeof seen>, said: string, why: string][] = [
    ['three of three', seen(all), 'web is redundant: 3 of 3 instances', ''],
    [
      'one that ended',
      seen({ ...all, b: on(crashed) }),
      'web is degraded: 2 of 3 instances; missing: b',
      'b: its instance is started again in 900 ms: ended with code 3',
    ],
    [
      'a frozen node and one that ended',
      seen({ b: on(crashed), c: on(running('web'), frozen) }),
      'web is degraded: 1 of 3 instances, one more loss stops the service; missing: b, c',
      'b: its instance is started again in 900 ms: ended with code 3; c: it is silent: last heard 1.2 s ago',
    ],
    [
      'a drained node where no other node is left',
      seen({ ...all, c: on(null) }, web(), {}, { c: { drained: true } }),
      'web is degraded: 2 of 3 instances; missing: c',
      'c: it is drained',
    ],
    [
      'more instances than nodes',
      seen(all, web({ instances: 4 })),
      'web is degraded: 3 of 4 instances; missing: instance',
      'only 3 of the nodes may be used',
    ],
    [
      'an endpoint that does not listen',
      seen({ b: on(running('web'), {}, ['127.0.0.12:8080']), c: on(running('web'), {}, []) }, web(), {
        openDoors: ['127.0.0.11:8080'],
      }),
      'web is degraded: 3 of 3 instances; missing: endpoint on c',
      'c: its balancer does not listen on 127.0.0.13:8080',
    ],
    [
      'no endpoint that listens',
      seen({ b: on(running('web'), {}, []), c: on(running('web'), {}, []) }, web(), { openDoors: [] }),
      'web is unhealthy: 3 of 3 instances; missing: endpoint on a, endpoint on b, endpoint on c',
      [1, 2, 3].map((n) => `${'abc'[n - 1]}: its balancer does not listen on 127.0.0.1${n}:8080`).join('; '),
    ],
    [
      'one that was asked for',
      seen({ b: on(null), c: on(null) }, web({ instances: 1 })),
      'web is not redundant: 1 of 1 instance as configured, one loss stops the service',
      '',
    ],
  ]
  for (const [what, now, said, why] of table)
    it(`of ${what}`, () => expect([redundancyHead('web', now), missingText(now.missing)]).toEqual([said, why]))
})

describe('the redundancy of a service of which one instance works', () => {
  const leads = running('worker', { role: 'primary', term: 3 })
  const seen = (peers: Readonly<Record<string, PeerFacts>>, spec = worker(), reachable = true) => {
    const store = { ...led('worker', 'a', 3), reachable, why: reachable ? '' : 'it is locked' }
    return redundancyOf(view({ cluster: cluster([spec]), store, peers, local: { instances: { worker: leads } } }), spec)
  }
  const backsOff = peer('b', [stopped('worker', { retryInMs: 4_000, failures: 3, note: 'ended with code 1' })])
  const warm = worker({ standby: 'warm' })
  const ready = peer('b', [running('worker', { role: 'standby' })])

  const table: readonly [what: string, now: ReturnType<typeof seen>, said: string, why: string][] = [
    ['a cold standby', seen({}), 'worker is redundant: 2 of 2 instances', ''],
    [
      'nodes that are silent or back off',
      seen({ b: backsOff, c: peer('c', [], frozen) }),
      'worker is degraded: 1 of 2 instances, one more loss stops the service; missing: c',
      'c: it is silent: last heard 1.2 s ago',
    ],
    ['a warm standby that is ready', seen({ b: ready }, warm), 'worker is redundant: 2 of 2 instances', ''],
    [
      'a store that does not answer',
      seen({}, worker(), false),
      'worker is degraded: 2 of 2 instances, one more loss stops the service; missing: store',
      'no failover is possible without the store: it is locked',
    ],
    [
      'one that was asked for',
      seen({}, worker({ instances: 1 })),
      'worker is not redundant: 1 of 1 instance as configured, one loss stops the service',
      '',
    ],
  ]
  for (const [what, now, said, why] of table)
    it(`of ${what}`, () => expect([redundancyHead('worker', now), missingText(now.missing)]).toEqual([said, why]))

  it('needs a warm standby that is ready', () => {
    const now = seen(
      { b: peer('b', [running('worker', { role: 'standby', health: 'unhealthy', note: 'GET /: 503' })]) },
      warm,
    )
    expect(now).toMatchObject({ state: 'degraded', there: 1, oneMoreLoss: 'stops-service' })
  })
})
