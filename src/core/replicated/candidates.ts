/** Which copy could lead next, and why not the others: for people, in the order in which they would be chosen. */

import type { Candidate } from '../election.ts'
import type { NodeName, ServiceSpec } from '../model.ts'
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
  const no = (why: string): Candidate => ({ node, able: false, why, inMs: 0 })
  const state = nodeState(view, node)
  if (state !== 'alive') return no(`it is ${state}`)
  const instance = instanceOn(view, node, service.name)
  const { replica } = instance ?? {}
  if (!instance || !replica?.position) return no('it has no copy')
  if (instance.state !== 'running') return no(`its copy is ${instance.state}: ${instance.note}`)
  if (replica.quarantined) return no('it was rewound or copied and has not caught up: it may not vote')
  if (replica.unfit) return no(replica.unfit.why)
  if (replica.diverged) return no('it may hold what the primary does not')
  const drained = isDrained(view, node) ? ', though it is drained' : ''
  const lag = replica.replayLagBytes > 0 ? ` and ${replica.replayLagBytes} bytes to replay` : ''
  return {
    node,
    able: true,
    why: `it has term ${replica.position.term} up to ${replica.position.log}${lag}${drained}`,
    inMs: 0,
  }
}

function behind(a: ReplicaReport | undefined, b: ReplicaReport | undefined): number {
  return a?.position && b?.position ? comparePositions(b.position, a.position) : 0
}
