/**
 * What a view says about the replicas of a service. Reports may be old; a pledge is not: a replica that was reported as
 * recruited in a term stays so until a config of that term is on the record, and then the swap that was meant for the
 * older record fails.
 */
import type { InstanceReport, NodeName, ServiceSpec } from '../model.ts'
import { place } from '../placement.ts'
import type { ServiceRecord } from '../records.ts'
import type { Revised } from '../store-facts.ts'
import { instanceOn, isDrained, isStopping, nodeState, recordOf, type View } from '../view.ts'
import { beatsAll, type Recruited } from './quorum.ts'
import type { QuorumConfig, ReplicaRecord, ReplicaReport, Replication } from './quorum-config.ts'

/** A record that has a first `QuorumConfig`. */
export type ReplicatedRecord = Revised<ServiceRecord> & { readonly replica: ReplicaRecord }

export function replicatedRecord(view: View, service: ServiceSpec): ReplicatedRecord | undefined {
  const record = recordOf(view, service.name)
  return hasQuorumConfig(record) ? record : undefined
}

function hasQuorumConfig(record: Revised<ServiceRecord>): record is ReplicatedRecord {
  return record.replica !== undefined && record.replica.quorumConfigs.length > 0
}

/** It is being made for the first time: nothing was served from it yet, and its standbys are cloned for the first time. */
export function hasNoCopyYet({ replica }: ReplicatedRecord): boolean {
  return replica.phase === 'promoting' && replica.quorumConfigs.length === 1 && replica.quorumConfigs[0]?.term === 1
}

export function newestConfig({ replica: { quorumConfigs } }: { readonly replica: ReplicaRecord }): QuorumConfig {
  const newest = quorumConfigs.at(-1)
  if (!newest) throw new Error('a record with a replica part has a rule')
  return newest
}

export function replicationOf(service: ServiceSpec): Replication {
  return service.replication ?? { k: 0, degrade: 'block' }
}

export function replicaOn(view: View, node: NodeName, service: ServiceSpec): ReplicaReport | undefined {
  return instanceOn(view, node, service.name)?.replica
}

/** Does the server there lead in `term`, as far as is known? */
export function leadsIn(instance: InstanceReport | undefined, term: number): boolean {
  return instance?.state === 'running' && instance.role === 'primary' && instance.term === term
}

/** Who has pledged the record's term, receives nothing, may vote, and can be reached: the F of quorum.ts. */
export function recruitedIn(view: View, service: ServiceSpec, term: number): Recruited[] {
  return view.cluster.nodes.flatMap(({ name }) => {
    const replica = nodeState(view, name) === 'alive' ? replicaOn(view, name, service) : undefined
    if (!replica?.recruited || replica.pledged !== term || replica.quarantined || !replica.position) return []
    return [{ node: name, position: replica.position }]
  })
}

/** Which replicas would be recruited if all were asked to: is it worth while to begin? */
export function couldBeat(
  view: View,
  service: ServiceSpec,
  quorumConfigs: readonly QuorumConfig[],
  without?: NodeName,
): boolean {
  const able = view.cluster.nodes.flatMap(({ name }): Recruited[] => {
    const instance = nodeState(view, name) === 'alive' ? instanceOn(view, name, service.name) : undefined
    const { replica } = instance ?? {}
    if (name === without || instance?.state !== 'running' || instance.hung) return []
    return !replica?.position || replica.quarantined ? [] : [{ node: name, position: replica.position }]
  })
  const alone = service.instances === 1 || replicationOf(service).degrade === 'run-alone'
  return beatsAll(able, quorumConfigs) && able.length >= (alone ? 1 : 2)
}

/**
 * The nodes that should have a replica; the primary's first. Sticky: a node of the newest config stays, also while it
 * is away, because cloning costs more than waiting; a drained node goes.
 */
export function placedReplicas(view: View, service: ServiceSpec): NodeName[] {
  const quorum = recordOf(view, service.name).replica?.quorumConfigs.at(-1)
  const usable = view.cluster.nodes.filter(({ name }) => !isDrained(view, name) && !isStopping(view, name))
  const here = usable.filter(({ name }) => nodeState(view, name) !== 'lost')
  const keep = quorum ? [quorum.primary, ...quorum.standbys] : []
  return place(service, here.length >= service.instances ? here : usable, keep)
}

/** Has the node, or had it once, to do with the service? Then its replica must be recruited. */
export function isConcerned(view: View, service: ServiceSpec, node: NodeName): boolean {
  const quorumConfigs = recordOf(view, service.name).replica?.quorumConfigs ?? []
  const named = quorumConfigs.some((quorum) => quorum.primary === node || quorum.standbys.includes(node))
  return named || replicaOn(view, node, service)?.position != null
}

/**
 * How far a standby is behind: what the primary has written and it has not on its disk, and what it has and has not
 * replayed, which is what readers see. Undefined for a primary, and where it is not known.
 */
export function lagBytesOf(view: View, node: NodeName, service: ServiceSpec): number | undefined {
  const instance = instanceOn(view, node, service.name)
  if (instance?.role !== 'standby' || !instance.replica) return undefined
  const primary = recordOf(view, service.name).replica?.quorumConfigs.at(-1)?.primary
  const stream = primary === undefined ? undefined : replicaOn(view, primary, service)?.streaming
  const received = stream?.find((one) => one.node === node)
  return received && received.lagBytes + instance.replica.replayLagBytes
}
