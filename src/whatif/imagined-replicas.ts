/**
 * The replicas of one service in an imagined failure, and the view that a node would have of them: record, quorum in
 * force, who runs, who gets WAL from whom. WAL goes along links that are whole. All replicas of a calm cluster are equally far;
 * where a failure leaves the primary running, those that still hear it get further than those that do not.
 */

import type { InstanceReport, NodeName, NodeReport, ServiceSpec } from '../core/model.ts'
import { place } from '../core/placement.ts'
import type { ServiceRecord } from '../core/records.ts'
import { defaultK } from '../core/replicated/quorum.ts'
import type { QuorumConfig, ReplicaRecord, Replication } from '../core/replicated/quorum-config.ts'
import { replicationOf } from '../core/replicated/replica-facts.ts'
import type { Revised } from '../core/store-facts.ts'
import { neverStarted, type PeerFacts, type View } from '../core/view.ts'
import { at, type Situation } from './situation.ts'

interface Copy {
  readonly running: boolean
  readonly isPrimary: boolean
  /** The term that it leads in, or has pledged. */
  readonly term: number
  readonly recruited: boolean
  /** It received what others did not: the primary was cut off from those and wrote on. */
  readonly isAhead: boolean
}

export interface ImaginedReplicas {
  readonly situation: Situation
  readonly service: ServiceSpec
  /** Only living nodes. */
  readonly byNode: Map<NodeName, Copy>
  record: Revised<ServiceRecord> & { readonly replica: ReplicaRecord }
  /** What the primary's server waits for. */
  inForce: QuorumConfig | null
  /** Its row was on that quorum once: before that no client is admitted, not even to read. */
  durable: boolean
  /** For how long the silent nodes have been so: first condemned, later lost. */
  silentForMs: number
}

/** Longer than anything that is waited for: silent nodes have been so for long. */
const AGE_MS = 60_000
const FAR = '1000'
const FURTHER = '2000'

/** What the config says; of a made-up service without it, half of the servers. */
export function replicationFor(service: ServiceSpec): Replication {
  return service.replication ? replicationOf(service) : { k: defaultK(service.instances), degrade: 'block' }
}

/** The record of a calm cluster whose primary is `primary`, or the first; undefined when no node may have a replica. */
export function calmRecord({ setting }: Situation, service: ServiceSpec): ImaginedReplicas['record'] | undefined {
  const wanted = setting.primaries[service.name]
  const known = setting.replicas?.[service.name] ?? []
  const holders = [...(wanted === undefined ? [] : [wanted]), ...known.filter((node) => node !== wanted)]
  // As many as are asked about: `availability` asks about one more and one fewer, too.
  const [primary, ...others] = place(service, setting.cluster.nodes, holders)
  if (primary === undefined) return undefined
  const leads = wanted ?? primary
  const standbys = [primary, ...others].filter((node) => node !== leads).sort()
  const k = Math.min(replicationFor(service).k, standbys.length)
  const rule = { term: 1, primary: leads, standbys, k, id: 'before' }
  return { term: 1, primary: leads, revision: 1, replica: { phase: 'serving', by: leads, quorumConfigs: [rule] } }
}

/** Just after the failure. Undefined where it never had a primary. */
export function copiesIn(situation: Situation, spec: ServiceSpec): ImaginedReplicas | undefined {
  const record = situation.records.get(spec.name)
  const [quorum] = record?.replica?.quorumConfigs ?? []
  if (!record?.replica || !quorum) return undefined
  const byNode = new Map<NodeName, Copy>()
  for (const node of [quorum.primary, ...quorum.standbys]) {
    if (!situation.hearing.lives(node)) continue
    const running = situation.instances.get(at(node, spec.name))?.report.state === 'running'
    byNode.set(node, {
      running,
      isPrimary: node === quorum.primary,
      term: quorum.term,
      recruited: false,
      isAhead: false,
    })
  }
  const service = { ...spec, replication: replicationFor(spec) }
  const silentForMs = situation.hearing.suspectAfterMs
  const copies: ImaginedReplicas = {
    situation,
    service,
    byNode,
    record: { ...record, replica: record.replica },
    inForce: quorum,
    durable: true,
    silentForMs,
  }
  for (const node of [quorum.primary, ...streamingFrom(copies, quorum.primary)]) {
    const copy = byNode.get(node)
    if (copy?.running) byNode.set(node, { ...copy, isAhead: true })
  }
  return copies
}

export function leaderIn({ byNode, inForce }: ImaginedReplicas): NodeName | undefined {
  const copy = inForce ? byNode.get(inForce.primary) : undefined
  return copy?.running && copy.isPrimary ? inForce?.primary : undefined
}

/** Which nodes get WAL from `primary`. */
function streamingFrom({ byNode, situation }: ImaginedReplicas, primary: NodeName): NodeName[] {
  const lead = byNode.get(primary)
  if (!lead?.running || !lead.isPrimary) return []
  return [...byNode].flatMap(([node, { running, isPrimary, recruited, term }]) =>
    running && !isPrimary && !recruited && term <= lead.term && situation.hearing.hears(primary, node) ? [node] : [],
  )
}

/** Would a write under this rule be acknowledged? */
export function confirms(copies: ImaginedReplicas, quorum: QuorumConfig | null = copies.inForce): boolean {
  if (!quorum || leaderIn(copies) !== quorum.primary) return false
  return streamingFrom(copies, quorum.primary).filter((node) => quorum.standbys.includes(node)).length >= quorum.k
}

/** A server that ended is started where it was, as what it was: a new primary makes it follow. */
export function startAgain({ byNode }: ImaginedReplicas): NodeName[] {
  const ended = [...byNode].filter(([, { running }]) => !running)
  for (const [node, copy] of ended) byNode.set(node, { ...copy, running: true })
  return ended.map(([node]) => node)
}

/** Every replica that `by` can hear pledges the term, and receives nothing any more. */
export function fenceAll({ byNode, situation }: ImaginedReplicas, by: NodeName, term: number): void {
  for (const [node, copy] of byNode) {
    if (copy.running && situation.hearing.hears(by, node))
      byNode.set(node, { ...copy, isPrimary: false, term, recruited: true })
  }
}

/** The elected one is promoted, and every replica that hears it follows. */
export function leadUnder(copies: ImaginedReplicas, quorum: QuorumConfig): void {
  const { byNode, situation } = copies
  for (const [node, copy] of byNode) {
    if (node !== quorum.primary && !situation.hearing.hears(quorum.primary, node)) continue
    byNode.set(node, {
      ...copy,
      isPrimary: node === quorum.primary,
      term: quorum.term,
      recruited: false,
      isAhead: true,
    })
  }
  copies.inForce = quorum
  copies.durable = confirms(copies)
}

export function viewOf(copies: ImaginedReplicas, self: NodeName): View {
  const { situation, service, record } = copies
  const { setting, hearing } = situation
  const peers: Record<NodeName, PeerFacts> = {}
  for (const { name } of setting.cluster.nodes) {
    if (name === self) continue
    const hears = hearing.hears(self, name)
    const state = hearing.stateOf(self, name, copies.silentForMs)
    peers[name] = { state, heardAgoMs: hears ? 0 : AGE_MS, report: hears ? reportOf(copies, name) : null }
  }
  const known = { [service.name]: AGE_MS }
  return {
    now: AGE_MS,
    wall: AGE_MS,
    self,
    cluster: { ...setting.cluster, services: [service] },
    store: {
      reachable: hearing.reachesStore(self),
      why: hearing.reachesStore(self) ? '' : 'it does not answer',
      cluster: { desired: 'running' },
      services: { [service.name]: record },
      leads: {},
      nodes: {},
      sizes: {},
      leadFreeForMs: {},
      switchoverForMs: {},
      recordForMs: known,
    },
    peers,
    local: {
      instances: { [service.name]: instanceOf(copies, self) },
      leases: {},
      busy: {},
      failedIn: {},
      startedAgoMs: AGE_MS,
      lagMs: 0,
      stopping: false,
    },
  }
}

function reportOf(copies: ImaginedReplicas, node: NodeName): NodeReport {
  const instances = [instanceOf(copies, node)]
  return { node, incarnation: 1, agentPid: 1, balancerPid: 2, fencePid: 3, instances, stopping: false }
}

function instanceOf(copies: ImaginedReplicas, node: NodeName): InstanceReport {
  const { byNode, service, inForce } = copies
  const copy = byNode.get(node)
  if (!copy) return neverStarted(service.name)
  const { running, isPrimary, term, recruited, isAhead } = copy
  const leader = leaderIn(copies)
  const follows = leader !== undefined && leader !== node && streamingFrom(copies, leader).includes(node)
  const streaming = isPrimary ? streamingFrom(copies, node).map((name) => ({ node: name, lagBytes: 0 })) : []
  const known = isPrimary ? inForce : null
  return {
    ...neverStarted(service.name),
    role: !running ? 'none' : isPrimary ? 'primary' : 'standby',
    state: running ? 'running' : 'stopped',
    health: running ? 'healthy' : 'unknown',
    healthForMs: AGE_MS,
    stateForMs: AGE_MS,
    term,
    failures: running ? 0 : 1,
    note: running ? '' : 'was killed',
    replica: {
      pledged: term,
      recruited,
      position: { term: 1, timeline: 1, log: isAhead ? FURTHER : FAR },
      replayLagBytes: 0,
      quorum: known,
      quorumDurable: isPrimary && copies.durable,
      streaming,
      receivingFrom: follows ? leader : null,
      quarantined: false,
      diverged: false,
    },
  }
}
