/** Which replica could become primary next, and why not the others: in words, in the order in which they would be chosen. */

import type { Candidate } from '../election.ts'
import type { InstanceReport, NodeName, ServiceSpec } from '../model.ts'
import { silenceOf } from '../node-silence.ts'
import { instanceOn, isDrained, nodeState, type View } from '../view.ts'
import { comparePositions } from './quorum.ts'
import type { ReplicaReport } from './quorum-config.ts'
import { newestConfig, replicaOn, replicatedRecord } from './replica-facts.ts'

export function candidatesIn(view: View, service: ServiceSpec): Candidate[] {
  const record = replicatedRecord(view, service)
  const primary = record && newestConfig(record).primary
  const nodes = view.cluster.nodes.map(({ name }) => name).filter((node) => node !== primary)
  const judged = nodes.map((node) => ({
    candidate: judge(view, service, node),
    replica: replicaOn(view, node, service),
  }))
  judged.sort((a, b) => Number(b.candidate.able) - Number(a.candidate.able) || behind(a.replica, b.replica))
  return judged.map(({ candidate }) => candidate)
}

function judge(view: View, service: ServiceSpec, node: NodeName): Candidate {
  const fault = copyFault(view, service, node)
  const replica = replicaOn(view, node, service)
  if (fault !== undefined || !replica?.position)
    return { node, able: false, why: fault ?? 'it has no replica', inMs: 0 }
  const drained = isDrained(view, node) ? ', though it is drained' : ''
  const lag = replica.replayLagBytes > 0 ? ` and ${replica.replayLagBytes} bytes to replay` : ''
  return {
    node,
    able: true,
    why: `it has term ${replica.position.term} up to ${replica.position.log}${lag}${drained}`,
    inMs: 0,
  }
}

/** Why the replica there could not lead; undefined when it could. */
function copyFault(view: View, service: ServiceSpec, node: NodeName): string | undefined {
  if (nodeState(view, node) !== 'alive') return silenceOf(view, node)
  const instance = instanceOn(view, node, service.name)
  if (instance?.state !== 'running') return whyDown(instance)
  const { replica } = instance
  if (instance.hung) return `its server hangs: ${instance.note}`
  if (replica?.unfit) return replica.unfit.why
  if (instance.health === 'unhealthy') return `its server is unhealthy: ${instance.note}`
  if (!replica?.position) return instance.note === '' ? 'its server has not said yet how far it is' : instance.note
  if (replica.quarantined) return 'it was rewound or cloned and has not caught up: it may not vote'
  return replica.diverged ? 'it may hold what the primary does not' : undefined
}

/** The position of a server that does not run is not known: that alone does not mean that it has no data. */
function whyDown(instance: InstanceReport | undefined): string {
  if (!instance) return 'its agent has not reported it'
  const { state, note, failures, replica } = instance
  if (note !== '') return `its server is ${state}: ${note}`
  const isNew = state === 'stopped' && failures === 0 && !replica?.position && (replica?.pledged ?? 0) === 0
  return isNew ? 'it has no replica yet' : `its server is ${state}`
}

/** Why the standby there does not stand by; undefined when it could lead, and follows the primary. */
export function standbyFault(view: View, service: ServiceSpec, node: NodeName): string | undefined {
  const fault = copyFault(view, service, node)
  const record = replicatedRecord(view, service)
  if (fault !== undefined || !record) return fault ?? 'there is no primary yet'
  const { primary } = newestConfig(record)
  const instance = instanceOn(view, node, service.name)
  if (instance?.health !== 'healthy') return `its server is not known to be healthy yet${said(instance)}`
  const isFollowing = instance.role === 'standby' && instance.replica?.receivingFrom === primary
  return isFollowing ? undefined : `it does not follow ${primary}${said(instance)}`
}

function said(instance: InstanceReport | undefined): string {
  return instance?.note ? `: ${instance.note}` : ''
}

function behind(a: ReplicaReport | undefined, b: ReplicaReport | undefined): number {
  return a?.position && b?.position ? comparePositions(b.position, a.position) : 0
}
