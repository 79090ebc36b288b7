/**
 * May the primary be moved to that node on purpose? Asked when an operator requests it, and again by the primary before
 * it lets go: the answer may have changed, and a switchover that is called off then costs nothing.
 */
import { formatDuration } from '../lib/duration.ts'
import { bestOther, candidatesFor } from './election.ts'
import type { NodeName, ServiceSpec } from './model.ts'
import { isLed, successorRefusal, successorSoon } from './replicated/successor.ts'
import { hasLeader, instanceOn, leadOf, recordOf, type View } from './view.ts'

/** A request older than this was overtaken by events: its operator no longer expects it. */
export const SWITCHOVER_EXPIRES_MS = 30_000

/** Why not, as a sentence; undefined when it may be done. */
export function switchoverRefusal(view: View, service: ServiceSpec, to: NodeName): string | undefined {
  if (!hasLeader(service)) return `${service.name} is active-active: every instance serves, there is no primary to move`
  if (service.nodes.length > 0 && !service.nodes.includes(to))
    return `${service.name} may only run on ${service.nodes.join(', ')}`
  if (service.traits.replicates) return copyRefusal(view, service, to)
  const lead = leadOf(view, service.name)
  if (!lead) return `${service.name} has no primary now: a failover is under way`
  if (lead.node === to) return `${to} is primary already`
  const candidate = candidatesFor(view, service).find(({ node }) => node === to)
  if (!candidate?.able) return `${to} cannot become primary: ${candidate?.why ?? 'it is not one of its nodes'}`
  if (candidate.inMs > 0) return `${to} cannot become primary now: it ${candidate.why}`
  const instance = instanceOn(view, to, service.name)
  if (!instance) return `${to} has not reported yet`
  if (instance.health === 'unhealthy' && instance.state !== 'stopped')
    return `the instance on ${to} is unhealthy: ${instance.note}`
  if (service.standby === 'warm' && instance.health !== 'healthy') return `the standby on ${to} is not ready`
  return undefined
}

/** A replica that has to catch up is waited for; what takes too long is called off later. */
function copyRefusal(view: View, service: ServiceSpec, to: NodeName): string | undefined {
  const refusal = successorRefusal(view, service, to)
  return refusal?.passes && isLed(view, service) ? undefined : refusal?.why
}

/** Why no node can, one sentence for each but the primary's. */
export function whyNobody(view: View, service: ServiceSpec, leader: NodeName): string[] {
  const others = view.cluster.nodes.map(({ name }) => name).filter((name) => name !== leader)
  return [...new Set(others.flatMap((node) => switchoverRefusal(view, service, node) ?? []))]
}

/** The successor when the operator named none. */
export function defaultSuccessor(view: View, service: ServiceSpec): NodeName | undefined {
  if (service.traits.replicates) return successorSoon(view, service)
  const lead = leadOf(view, service.name)
  return lead && bestOther(view, service, lead.node)
}

/** Why the switchover on the record can no longer be done; undefined while it can. */
export function calledOff(view: View, service: ServiceSpec): string | undefined {
  const { switchover } = recordOf(view, service.name)
  if (!switchover) return undefined
  const ageMs = view.store.switchoverForMs[service.name] ?? 0
  if (ageMs > SWITCHOVER_EXPIRES_MS) return `it was asked for ${formatDuration(ageMs)} ago`
  return switchoverRefusal(view, service, switchover.to)
}
