/**
 * The picture that each node would have: the same `View` that an agent builds of a real cluster, so that the real core
 * can be asked what it would do. A silent node keeps its last report; one without the store keeps what it read last.
 */
import type { ClusterSpec, InstanceReport, NodeName, NodeReport } from '../core/model.ts'
import type { StoreFacts } from '../core/store-facts.ts'
import { type Busy, type HeldLease, neverStarted, type PeerFacts, type View } from '../core/view.ts'
import { at, heldLease, type Situation } from './situation.ts'

/** Views of one moment: what all nodes see alike is made once. */
export function viewsOf(situation: Situation): (node: NodeName) => View {
  const { setting, hearing, calm } = situation
  const names = setting.cluster.nodes.map(({ name }) => name)
  const ageMs = situation.nowMs - situation.failedAtMs
  const reports = new Map(names.map((name) => [name, reportOf(situation, name)]))
  const lastOf = (peer: NodeName) => (calm ? lastReport(calm, peer) : null)
  const store = storeFacts(situation, '')
  const stale = calm && storeFacts(calm, 'it does not answer')
  return (self) => {
    const peers: Record<NodeName, PeerFacts> = {}
    for (const peer of names) {
      if (peer === self) continue
      const hears = hearing.hears(self, peer)
      peers[peer] = {
        state: calm === null ? 'alive' : hearing.stateOf(self, peer, ageMs),
        heardAgoMs: hears ? 0 : ageMs,
        report: hears ? (reports.get(peer) ?? null) : lastOf(peer),
      }
    }
    const facts = hearing.reachesStore(self) ? store : (stale ?? store)
    return {
      now: situation.nowMs,
      wall: situation.nowMs,
      self,
      cluster: withoutReplicated(setting.cluster),
      store: facts,
      peers,
      local: localFacts(situation, self, reports.get(self)?.instances ?? []),
    }
  }
}

const LEASED = new WeakMap<ClusterSpec, ClusterSpec>()

/**
 * Services that replicate are asked about separately (replicated-outcome.ts); services that need them see the outcome
 * in the reports.
 */
function withoutReplicated(cluster: ClusterSpec): ClusterSpec {
  const known = LEASED.get(cluster)
  if (known) return known
  const services = cluster.services.filter(({ traits }) => !traits.replicates)
  const leased = services.length === cluster.services.length ? cluster : { ...cluster, services }
  LEASED.set(cluster, leased)
  return leased
}

function localFacts(situation: Situation, self: NodeName, reports: readonly InstanceReport[]): View['local'] {
  const instances: Record<string, InstanceReport> = {}
  const leases: Record<string, HeldLease> = {}
  const busy: Record<string, Busy> = {}
  for (const report of reports) instances[report.service] = report
  for (const { name } of situation.setting.cluster.services) {
    const lease = heldLease(situation, self, name)
    if (lease) leases[name] = lease
    const step = situation.busy.get(at(self, name))
    if (step !== undefined) busy[name] = { step, backingOff: false }
  }
  return { instances, leases, busy, failedIn: {}, startedAgoMs: situation.nowMs + 3_600_000, lagMs: 0, stopping: false }
}

/** What a node said last before it fell silent. Asked for often, and it never changes. */
function lastReport(calm: Situation, node: NodeName): NodeReport {
  const known = calm.lastReports.get(node)
  if (known) return known
  const report = reportOf(calm, node)
  calm.lastReports.set(node, report)
  return report
}

function reportOf(situation: Situation, node: NodeName): NodeReport {
  const instances: InstanceReport[] = []
  for (const { name } of situation.setting.cluster.services) {
    const instance = situation.instances.get(at(node, name))
    const ageMs = situation.nowMs - (instance?.sinceMs ?? 0)
    instances.push(instance ? { ...instance.report, healthForMs: ageMs, stateForMs: ageMs } : neverStarted(name))
  }
  return { node, incarnation: 1, agentPid: 1, balancerPid: 2, fencePid: 3, instances, stopping: false }
}

function storeFacts({ records, leads, freeSince, nowMs }: Situation, why: string): StoreFacts {
  return {
    reachable: why === '',
    why,
    cluster: { desired: 'running' },
    services: Object.fromEntries(records),
    leads: Object.fromEntries(leads),
    nodes: {},
    sizes: {},
    leadFreeForMs: Object.fromEntries([...freeSince].map(([service, since]) => [service, nowMs - since])),
    switchoverForMs: {},
    recordForMs: Object.fromEntries([...records.keys()].map((service) => [service, nowMs])),
  }
}
