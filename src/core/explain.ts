/**
 * The view in words. `statusOf` says what is so; `explain` says why, who could take over and why the others could not.
 * Everything here is for people: nothing is decided by it, and it decides nothing.
 */
import { formatDuration } from '../lib/duration.ts'
import { copyStanding } from './copy-standing.ts'
import { type Candidate, candidatesFor } from './election.ts'
import type { InstanceReport, NodeName, ServiceSpec } from './model.ts'
import type { Problem } from './problems/problem.ts'
import { hasLeader, instanceOn, isWellOn, leaderOf, recordOf, type View } from './view.ts'

/** Does the service do its work for clients now, as far as this node knows? */
export function isServing(view: View, service: ServiceSpec): boolean {
  if (!hasLeader(service)) return serving(view, service).length > 0
  const lead = leaderOf(view, service)
  const instance = lead && instanceOn(view, lead.node, service.name)
  const isOpen = !service.traits.replicates || instance?.replica?.ruleDurable === true
  return (
    lead !== undefined &&
    isOpen &&
    isWellOn(view, lead.node, service.name) &&
    instance?.role === 'primary' &&
    instance.term === lead.term
  )
}

/** One sentence about a service: what is wrong first, else what is right. */
export function sentenceFor(view: View, service: ServiceSpec, problems: readonly Problem[]): string {
  const own = problems.find((problem) => problem.service === service.name)
  const now = hasLeader(service) ? leaderSentence(view, service) : activeSentence(view, service)
  if (isServing(view, service)) return own ? `${now}; ${own.why}` : now
  return own ? own.why : now
}

function activeSentence(view: View, service: ServiceSpec): string {
  const nodes = serving(view, service)
  const asked = `${service.instances} asked for`
  if (nodes.length === 0) return `no instance of ${service.name} is healthy (${asked})`
  return `${nodes.length} of ${asked} serve: ${nodes.join(', ')}`
}

function leaderSentence(view: View, service: ServiceSpec): string {
  const lead = leaderOf(view, service)
  const { term } = recordOf(view, service.name)
  if (!lead)
    return term === 0
      ? `${service.name} has not had a primary yet`
      : `${service.name} has no primary; the last term was ${term}`
  const instance = instanceOn(view, lead.node, service.name)
  if (isServing(view, service)) return `${lead.node} is the primary of ${service.name} in term ${lead.term}`
  return `${lead.node} holds term ${lead.term} of ${service.name}; its instance is ${describe(instance)}`
}

function describe(instance: InstanceReport | undefined): string {
  if (!instance) return 'not reported'
  if (instance.retryInMs > 0) return `started again in ${formatDuration(instance.retryInMs)}: ${instance.note}`
  if (instance.state === 'running')
    return instance.health === 'healthy' ? `running as ${instance.role}` : `${instance.health}: ${instance.note}`
  return instance.note === '' ? instance.state : `${instance.state}: ${instance.note}`
}

function serving(view: View, service: ServiceSpec): NodeName[] {
  return view.cluster.nodes.map(({ name }) => name).filter((node) => isWellOn(view, node, service.name))
}

/** Who could take over, best first, and why not the others. */
export function standing(view: View, service: ServiceSpec): Candidate[] {
  if (service.traits.replicates) return copyStanding(view, service)
  return hasLeader(service) ? candidatesFor(view, service) : []
}
