/** Small made-up clusters and views for tests: say what matters, the rest is calm and healthy. */
import type { ClusterSpec, InstanceReport, NodeReport, ServiceSpec } from '../src/core/model.ts'
import type { LeadRecord, ServiceRecord } from '../src/core/records.ts'
import type { ReplicaReport } from '../src/core/replicated/quorum-config.ts'
import type { Revised, StoreFacts } from '../src/core/store-facts.ts'
import type { LocalFacts, PeerFacts, View } from '../src/core/view.ts'

export const TIMING: ServiceSpec['timing'] = {
  leaseMs: 2_000,
  graceMs: 10_000,
  settleMs: 300,
  startWithinMs: 30_000,
  unhealthyForMs: 3_000,
  probeEveryMs: 250,
  probeTimeoutMs: 250,
  holdMs: 5_000,
}

export function web(given: Partial<ServiceSpec> = {}): ServiceSpec {
  return {
    name: 'web',
    kind: 'http',
    redundancy: 'active-active',
    instances: 3,
    traits: { singleWriter: false, replicates: false, reportsPosition: false, canRewind: false },
    standby: 'cold',
    needs: [],
    nodes: [],
    endpoints: [{ purpose: 'serving', protocol: 'http', port: 8080 }],
    timing: TIMING,
    objectives: {},
    options: { health: { http: '/healthz' } },
    ...given,
  }
}

export function worker(given: Partial<ServiceSpec> = {}): ServiceSpec {
  return web({
    name: 'worker',
    kind: 'command',
    redundancy: 'active-passive',
    instances: 2,
    traits: { singleWriter: true, replicates: false, reportsPosition: false, canRewind: false },
    endpoints: [],
    options: {},
    ...given,
  })
}

/** A database with a copy on each of three nodes, one of which confirms each write. */
export function database(given: Partial<ServiceSpec> = {}): ServiceSpec {
  return worker({
    name: 'db',
    kind: 'postgres',
    instances: 3,
    traits: { singleWriter: false, replicates: true, reportsPosition: true, canRewind: true },
    replication: { k: 1, degrade: 'block' },
    ...given,
  })
}

/** A replica that nothing is wrong with: pledged to the first term, with all that was written, following no primary. */
export function copy(given: Partial<ReplicaReport> = {}): ReplicaReport {
  return {
    pledged: 1,
    recruited: false,
    position: { term: 1, timeline: 1, log: '100' },
    replayLagBytes: 0,
    quorum: null,
    quorumDurable: false,
    streaming: [],
    receivingFrom: null,
    quarantined: false,
    diverged: false,
    ...given,
  }
}

/** Nodes by name, or by `name:zone`. */
export function cluster(services: readonly ServiceSpec[], nodes: readonly string[] = ['a', 'b', 'c']): ClusterSpec {
  return {
    name: 'test',
    store: { kind: 'memory' },
    apiPort: 7400,
    nodes: nodes.map((text, index) => {
      const [name = text, zone = name] = text.split(':')
      return { name, address: `127.0.0.${11 + index}`, zone, region: 'default' }
    }),
    services,
    timing: { heartbeatMs: 100, suspectFloorMs: 300, suspectCeilingMs: 600, lostAfterMs: 2_000, staggerMs: 150 },
  }
}

export function running(service: string, given: Partial<InstanceReport> = {}): InstanceReport {
  return {
    service,
    role: 'active',
    state: 'running',
    health: 'healthy',
    note: '',
    healthForMs: 60_000,
    stateForMs: 60_000,
    hung: false,
    term: 0,
    failures: 0,
    retryInMs: 0,
    pid: 100,
    startTime: 1,
    port: 20_000,
    ...given,
  }
}

export function stopped(service: string, given: Partial<InstanceReport> = {}): InstanceReport {
  const { pid: _pid, startTime: _startTime, port: _port, ...rest } = running(service)
  return { ...rest, role: 'none', state: 'stopped', health: 'unknown', ...given }
}

export function peer(
  node: string,
  instances: readonly InstanceReport[] = [],
  given: Partial<PeerFacts> = {},
): PeerFacts {
  const report: NodeReport = {
    node,
    incarnation: 1,
    agentPid: 1,
    balancerPid: 2,
    fencePid: 3,
    instances,
    stopping: false,
  }
  return { state: 'alive', heardAgoMs: 20, report, ...given }
}

export interface MadeUp {
  readonly self?: string
  readonly cluster: ClusterSpec
  readonly store?: Partial<StoreFacts>
  readonly peers?: Readonly<Record<string, PeerFacts>>
  readonly local?: Partial<LocalFacts>
}

export function view({ self = 'a', cluster: spec, store, peers, local }: MadeUp): View {
  const others = spec.nodes.filter(({ name }) => name !== self).map(({ name }) => [name, peer(name)] as const)
  return {
    now: 1_000_000,
    wall: 1_700_000_000_000,
    self,
    cluster: spec,
    store: {
      reachable: true,
      why: '',
      cluster: { desired: 'running' },
      services: {},
      leads: {},
      nodes: {},
      sizes: {},
      leadFreeForMs: {},
      recordForMs: {},
      switchoverForMs: {},
      ...store,
    },
    peers: { ...Object.fromEntries(others), ...peers },
    local: {
      instances: {},
      leases: {},
      busy: {},
      failedIn: {},
      startedAgoMs: 60_000,
      lagMs: 0,
      stopping: false,
      ...local,
    },
  }
}

/** Store facts in which `node` leads `service` in `term`. */
export function led(
  service: string,
  node: string,
  term: number,
  record: Partial<ServiceRecord> = {},
): Partial<StoreFacts> {
  const services: Record<string, Revised<ServiceRecord>> = {
    [service]: { term, primary: node, revision: 7, ...record },
  }
  const leads: Record<string, LeadRecord> = { [service]: { node, term, lease: 'lease-1' } }
  return { services, leads }
}

/** Store facts in which `service` has no primary, and `node` was it last, in `term`. */
export function free(
  service: string,
  node: string | null,
  term: number,
  freeForMs: number,
  record: Partial<ServiceRecord> = {},
): Partial<StoreFacts> {
  const services: Record<string, Revised<ServiceRecord>> = {
    [service]: { term, primary: node, revision: 7, ...record },
  }
  return { services, leads: {}, leadFreeForMs: { [service]: freeForMs } }
}
