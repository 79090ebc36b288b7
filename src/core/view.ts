/**
 * One frozen picture of everything a node knows, `now` included. It is all that `decide` ever sees: the same view gives
 * the same decision, on a server, in a test and in the simulator. The agent builds a new one for every turn.
 */

import type { ClusterSpec, InstanceReport, NodeName, NodeReport, ServiceName, ServiceSpec, Term } from './model.ts'
import type { ConfigFacts, LeadRecord, ServiceRecord } from './records.ts'
import type { Step } from './step.ts'
import type { Revised, StoreFacts } from './store-facts.ts'

export interface View {
  /** The monotonic clock of this node, in milliseconds. */
  readonly now: number
  /** The wall clock, for output; nothing is decided by it. */
  readonly wall: number
  readonly self: NodeName
  /** The config that holds, with the nodes that are leaving and with what operators asked for since. */
  readonly cluster: ClusterSpec
  /** Absent: nothing leaves and nothing was removed. */
  readonly config?: ConfigFacts
  readonly store: StoreFacts
  readonly peers: Readonly<Record<NodeName, PeerFacts>>
  readonly local: LocalFacts
}

export interface PeerFacts {
  /**
   * `unknown`: not heard since this agent started, and too early to call it silent. `alive`. `suspect`: silent for longer
   * than its heartbeats ever were. `condemned`: a majority of its observers says so. `lost`: condemned for `lostAfterMs`.
   */
  readonly state: 'unknown' | 'alive' | 'suspect' | 'condemned' | 'lost'
  /** How long ago the last heartbeat came. */
  readonly heardAgoMs: number
  /** The last report, kept however old: what ran there runs on when only the agent is dead. */
  readonly report: NodeReport | null
}

/** What is under way for a service. */
export interface Busy {
  /** Null: nothing that a decision has to know by its name. */
  readonly step: Step['kind'] | null
  /** It failed, and is tried again a little later. */
  readonly backingOff: boolean
}

export interface LocalFacts {
  readonly instances: Readonly<Record<ServiceName, InstanceReport>>
  /** Leads that this agent holds a lease for, by its own count. */
  readonly leases: Readonly<Record<ServiceName, HeldLease>>
  /** Services with a step under way, or in back-off after one that failed: nothing new is begun for them. */
  readonly busy: Readonly<Record<ServiceName, Busy>>
  /** The last start, promotion or demotion that failed here since the record was written. */
  readonly failedIn: Readonly<Record<ServiceName, FailedTry>>
  /** How long this agent has run: a new one first takes over what the one before it held. */
  readonly startedAgoMs: number
  /** How late this node's own event loop was at worst in the last second: what it heard, it heard later by so much. */
  readonly lagMs: number
  /** How many instances may be starting here at a time. Absent: any number. */
  readonly startsAtOnce?: number
  /** This node is being stopped on purpose. */
  readonly stopping: boolean
  /** Where this node's balancer listens, as `host:port`. Absent: not known. */
  readonly openDoors?: readonly string[] | undefined
}

export interface FailedTry {
  readonly term: Term
  readonly why: string
}

export interface HeldLease {
  readonly term: Term
  readonly endsInMs: number
  /** Taken over from an earlier agent of this node, or after an unknown outcome: what ran in its term is not known. */
  readonly adopted?: boolean
}

const NEVER_STARTED: Omit<InstanceReport, 'service'> = {
  role: 'none',
  state: 'stopped',
  health: 'unknown',
  note: '',
  healthForMs: 0,
  stateForMs: 0,
  hung: false,
  term: 0,
  failures: 0,
  retryInMs: 0,
}

/** What a driver reports of an instance that it never started. */
export function neverStarted(service: ServiceName): InstanceReport {
  return { service, ...NEVER_STARTED }
}

/** One that was started a moment ago. */
export function justStarted({
  service,
  role,
  term,
}: Pick<InstanceReport, 'service' | 'role' | 'term'>): InstanceReport {
  return { ...NEVER_STARTED, service, role, term, state: 'running' }
}

export function localInstance(view: View, service: ServiceName): InstanceReport {
  return view.local.instances[service] ?? neverStarted(service)
}

/** The instance on any node, as this node knows it; undefined when that node never reported it. */
export function instanceOn(view: View, node: NodeName, service: ServiceName): InstanceReport | undefined {
  if (node === view.self) return localInstance(view, service)
  const report = view.peers[node]?.report
  return report ? byService(report).get(service) : undefined
}

/** Reports never change, and one of fifty services is asked for each of them many times in a turn. */
const indexes = new WeakMap<NodeReport, ReadonlyMap<ServiceName, InstanceReport>>()

function byService(report: NodeReport): ReadonlyMap<ServiceName, InstanceReport> {
  const known = indexes.get(report)
  if (known) return known
  const index = new Map(report.instances.map((instance) => [instance.service, instance]))
  indexes.set(report, index)
  return index
}

export function recordOf(view: View, service: ServiceName): Revised<ServiceRecord> {
  return view.store.services[service] ?? { term: 0, primary: null, revision: 0 }
}

export function leadOf(view: View, service: ServiceName): LeadRecord | undefined {
  return view.store.leads[service]
}

/** Which node is primary by the store's word: under a lease, or, where replicas fence, by the newest quorum config. */
export function leaderOf(view: View, service: ServiceSpec): { node: NodeName; term: Term } | undefined {
  const lead = leadOf(view, service.name)
  if (lead || !service.traits.replicates) return lead
  const { term, replica } = recordOf(view, service.name)
  const newest = replica?.quorumConfigs.at(-1)
  return newest?.term === term ? { node: newest.primary, term } : undefined
}

/** Does this node hold the lead, by the store's word and by its own count of the lease? */
export function holdsLead(view: View, service: ServiceName): boolean {
  const lead = leadOf(view, service)
  const lease = view.local.leases[service]
  return (
    lead !== undefined &&
    lease !== undefined &&
    lead.node === view.self &&
    lead.term === lease.term &&
    lease.endsInMs > 0
  )
}

/** Drained by an operator, or on its way out of the cluster. */
export function isDrained(view: View, node: NodeName): boolean {
  return (view.store.nodes[node]?.drained ?? false) || isLeaving(view, node)
}

/** The config no longer names it; it hands over what it has. */
export function isLeaving({ config }: View, node: NodeName): boolean {
  return config?.leaving.includes(node) ?? false
}

export function nodeState(view: View, node: NodeName): PeerFacts['state'] {
  return node === view.self ? 'alive' : (view.peers[node]?.state ?? 'unknown')
}

export function isStopping(view: View, node: NodeName): boolean {
  return node === view.self ? view.local.stopping : (view.peers[node]?.report?.stopping ?? false)
}

export function isHealthy(instance: InstanceReport | undefined): boolean {
  return instance !== undefined && instance.state === 'running' && instance.health === 'healthy'
}

/** Is it healthy there, as far as can be known? The last report of a lost node no longer counts. */
export function isHealthyOn(view: View, node: NodeName, service: ServiceName): boolean {
  return nodeState(view, node) !== 'lost' && isHealthy(instanceOn(view, node, service))
}

export function hasLeader(service: ServiceSpec): boolean {
  return service.redundancy === 'active-passive'
}
