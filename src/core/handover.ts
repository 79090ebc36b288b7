/** May the lead of a replicated service be moved to that node on purpose, and to which one if nobody was named? */
import { leadsIn, newestRule, replicaOn, ruledRecord } from './copies.ts'
import type { NodeName, ServiceSpec } from './model.ts'
import { instanceOn, isDrained, isStopping, isWellOn, nodeState, type View } from './view.ts'

/** How much a successor may still have to receive or replay when clients begin to be held. */
const CLOSE_BYTES = 1_048_576

export interface HandoverRefusal {
  readonly why: string
  /** It may be over soon: worth waiting for. */
  readonly passes: boolean
}

export function handoverRefusal(view: View, service: ServiceSpec, to: NodeName): HandoverRefusal | undefined {
  const record = ruledRecord(view, service)
  const no = (why: string, passes = false): HandoverRefusal => ({ why, passes })
  const rule = record && newestRule(record)
  if (!rule || !leadsIn(instanceOn(view, rule.primary, service.name), rule.term) || record.replica.phase !== 'serving')
    return no(`${service.name} has no primary now: a failover is under way`, true)
  if (rule.primary === to) return no(`${to} leads already`)
  if (!rule.members.includes(to)) return no(`${to} is not a member of its quorum (${rule.members.join(', ')})`)
  if (isDrained(view, to)) return no(`${to} is drained`)
  if (isStopping(view, to)) return no(`${to} is being stopped`)
  if (nodeState(view, to) !== 'alive') return no(`${to} is ${nodeState(view, to)}`)
  if (!isWellOn(view, to, service.name)) return no(`the standby on ${to} is not healthy`)
  const replica = replicaOn(view, to, service)
  const stream = replicaOn(view, rule.primary, service)?.streaming.find(({ node }) => node === to)
  if (replica?.quarantined || replica?.receivingFrom !== rule.primary || !stream)
    return no(`${to} has not caught up`, true)
  if (stream.lagBytes > CLOSE_BYTES || replica.replayLagBytes > CLOSE_BYTES) return no(`${to} is behind`, true)
  return undefined
}

/** The best node to hand over to now. */
export function successorFor(view: View, service: ServiceSpec): NodeName | undefined {
  const record = ruledRecord(view, service)
  const members = record ? newestRule(record).members : []
  return members.find((node) => handoverRefusal(view, service, node) === undefined)
}
