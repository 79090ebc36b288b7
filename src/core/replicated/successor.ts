/** May the primary of a replicated service be moved to that node on purpose, and to which one if the operator named none? */

import type { NodeName, ServiceSpec } from '../model.ts'
import { instanceOn, isDrained, isHealthyOn, isStopping, nodeState, type View } from '../view.ts'
import { leadsIn, newestConfig, replicaOn, replicatedRecord } from './replica-facts.ts'

/** How much a successor may still have to receive or replay when clients begin to be held. */
const CLOSE_BYTES = 1_048_576

export interface SuccessorRefusal {
  readonly why: string
  /** It may be over soon: worth waiting for. */
  readonly passes: boolean
}

export function successorRefusal(view: View, service: ServiceSpec, to: NodeName): SuccessorRefusal | undefined {
  const record = replicatedRecord(view, service)
  const no = (why: string, passes = false): SuccessorRefusal => ({ why, passes })
  const quorum = record && newestConfig(record)
  if (!quorum || !isLed(view, service)) return no(`${service.name} has no primary now: a failover is under way`, true)
  if (quorum.primary === to) return no(`${to} is primary already`)
  if (!quorum.standbys.includes(to))
    return no(`${to} is not one of its synchronous standbys (${quorum.standbys.join(', ')})`)
  if (isDrained(view, to)) return no(`${to} is drained`)
  if (isStopping(view, to)) return no(`${to} is being stopped`)
  if (nodeState(view, to) !== 'alive') return no(`${to} is ${nodeState(view, to)}`)
  const unfit = replicaOn(view, to, service)?.unfit
  if (unfit) return no(`${to} cannot become primary: ${unfit.why}`, unfit.restartHelps)
  if (!isHealthyOn(view, to, service.name)) return no(`the standby on ${to} is not healthy`)
  const replica = replicaOn(view, to, service)
  const stream = replicaOn(view, quorum.primary, service)?.streaming.find(({ node }) => node === to)
  if (replica?.quarantined || replica?.receivingFrom !== quorum.primary || !stream)
    return no(`${to} has not caught up`, true)
  if (stream.lagBytes > CLOSE_BYTES || replica.replayLagBytes > CLOSE_BYTES) return no(`${to} is behind`, true)
  return undefined
}

/** There is a primary that could switch over. */
export function isLed(view: View, service: ServiceSpec): boolean {
  const record = replicatedRecord(view, service)
  if (record?.replica.phase !== 'serving') return false
  const { primary, term } = newestConfig(record)
  return leadsIn(instanceOn(view, primary, service.name), term)
}

/** The best node to switch over to now. */
export function successorFor(view: View, service: ServiceSpec): NodeName | undefined {
  return standbysOf(view, service).find((node) => successorRefusal(view, service, node) === undefined)
}

/** The best one, when those that are on their way count as well. */
export function successorSoon(view: View, service: ServiceSpec): NodeName | undefined {
  const soon = standbysOf(view, service).find((node) => successorRefusal(view, service, node)?.passes)
  return successorFor(view, service) ?? soon
}

function standbysOf(view: View, service: ServiceSpec): readonly NodeName[] {
  const record = replicatedRecord(view, service)
  return record ? newestConfig(record).standbys : []
}
