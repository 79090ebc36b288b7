/**
 * The view in words. `statusOf` says what is so; `explain` says why, which node could take over and why the others
 * cannot. Output only: no decision depends on it.
 */
import { formatDuration } from '../lib/duration.ts'
import { type Candidate, candidatesFor } from './election.ts'
import type { InstanceReport, NodeName, ServiceSpec } from './model.ts'
import { silenceOf } from './node-silence.ts'
import { candidatesIn } from './replicated/candidates.ts'
import type { ReportedProblem } from './reported-problem.ts'
import { hasLeader, instanceOn, isHealthyOn, leaderOf, nodeState, recordOf, type View } from './view.ts'

/** Does the service do its work for clients now, as far as this node knows? */
export function isServing(view: View, service: ServiceSpec): boolean {
  if (!hasLeader(service)) return serving(view, service).length > 0
  const lead = leaderOf(view, service)
  const instance = lead && instanceOn(view, lead.node, service.name)
  const isOpen = !service.traits.replicates || instance?.replica?.quorumDurable === true
  return (
    lead !== undefined &&
    isOpen &&
    isHealthyOn(view, lead.node, service.name) &&
    instance?.role === 'primary' &&
    instance.term === lead.term
  )
}

export interface KnownProblem extends ReportedProblem {
  /** Who sees it. */
  readonly node: NodeName
}

/**
 * What is wrong as all nodes see it, so that it does not matter which of them is asked: own problems and what the living
 * peers reported. First-hand evidence comes first, and what several see alike is said once.
 */
export function knownProblems(view: View, own: readonly ReportedProblem[]): KnownProblem[] {
  const told = view.cluster.nodes.flatMap(({ name }) => {
    const problems =
      name === view.self ? own : nodeState(view, name) === 'alive' ? view.peers[name]?.report?.problems : []
    return (problems ?? []).map(({ rule, service, evidence, why }) => ({ rule, service, evidence, why, node: name }))
  })
  const first = new Map<string, KnownProblem>()
  for (const problem of told.filter(({ evidence }) => evidence === 'first-hand').concat(told)) {
    const key = `${problem.rule} ${problem.service ?? ''} ${problem.why}`
    if (!first.has(key)) first.set(key, problem)
  }
  return [...first.values()]
}

/** One sentence about a service: what is wrong first, else what is right. */
export function sentenceFor(view: View, service: ServiceSpec, problems: readonly ReportedProblem[]): string {
  if (service.stopped) return stoppedSentence(view, service)
  const all = problems.filter((problem) => problem.service === service.name)
  // Of several that are wrong, this one says what it comes to.
  const own = all.find(({ rule }) => rule === 'read-only') ?? all[0]
  const now = hasLeader(service) ? leaderSentence(view, service) : activeSentence(view, service)
  if (isServing(view, service)) return own ? `${now}; ${own.why}` : now
  const said = own ? `${own.why}${nextTry(view, service)}` : now
  const away = problems.find(({ rule }) => rule === 'store-away')
  return away && own?.rule !== 'lease-ending' ? `${said}; ${away.why}` : said
}

function stoppedSentence(view: View, { name }: ServiceSpec): string {
  const runs = view.cluster.nodes.filter(
    (node) => (instanceOn(view, node.name, name)?.state ?? 'stopped') !== 'stopped',
  )
  const ends = runs.length === 0 ? '' : ` and still ends on ${runs.map((node) => node.name).join(', ')}`
  return `${name} was stopped by an operator${ends}: “understudy start ${name}” starts it`
}

/** When there is no primary because every candidate has to wait first. */
function nextTry(view: View, service: ServiceSpec): string {
  if (!hasLeader(service) || service.traits.replicates || leaderOf(view, service)) return '' // replicas do not wait for a lease
  const able = candidatesFor(view, service).filter((candidate) => candidate.able)
  const soonestMs = Math.min(...able.map(({ inMs }) => inMs))
  if (able.length === 0) return '; no node can become its primary now'
  return soonestMs > 0 ? `; every node backs off, the next try is in ${formatDuration(soonestMs)}` : ''
}

function activeSentence(view: View, service: ServiceSpec): string {
  const nodes = serving(view, service)
  const asked = service.instances === 1 ? '1 instance' : `${service.instances} instances`
  const heard = nodes.filter((node) => silenceOf(view, node) === undefined)
  const silent = silentText(view, nodes)
  if (heard.length > 0) return `${heard.length} of ${asked} serve: ${heard.join(', ')}${silent}`
  if (nodes.length > 0) return `none of ${asked} is known to serve${silent}`
  const others = view.cluster.nodes.flatMap(({ name }) => {
    const instance = instanceOn(view, name, service.name)
    return instance && (instance.state !== 'stopped' || instance.note) ? `${name} is ${describe(instance)}` : []
  })
  return `no instance of ${service.name} is healthy: ${others.join('; ') || `none of ${asked} runs yet`}`
}

function leaderSentence(view: View, service: ServiceSpec): string {
  const lead = leaderOf(view, service)
  const { term } = recordOf(view, service.name)
  if (!lead)
    return term === 0
      ? `${service.name} has not had a primary yet`
      : `${service.name} has no primary; the last term was ${term}`
  const instance = instanceOn(view, lead.node, service.name)
  if (isServing(view, service))
    return `${lead.node} is the primary of ${service.name} in term ${lead.term}${silentText(view, [lead.node])}`
  return `${lead.node} holds term ${lead.term} of ${service.name}; its instance is ${describe(instance)}`
}

/** What runs on a node that is silent may go on, and what it reported last is not known to be so. */
function silentText(view: View, nodes: readonly NodeName[]): string {
  return nodes
    .filter((node) => silenceOf(view, node) !== undefined)
    .map((node) => `; ${node} may serve on: ${silenceOf(view, node)}`)
    .join('')
}

export function describe(instance: InstanceReport | undefined): string {
  if (!instance) return 'not reported'
  if (instance.retryInMs > 0) return `started again in ${formatDuration(instance.retryInMs)}: ${instance.note}`
  if (instance.state === 'running') {
    if (instance.health === 'healthy') return `running as ${instance.role}`
    if (instance.health === 'unknown') return instance.note || 'running and not known to be healthy yet'
    return `unhealthy: ${instance.note}`
  }
  return instance.note === '' ? instance.state : `${instance.state}: ${instance.note}`
}

function serving(view: View, service: ServiceSpec): NodeName[] {
  return view.cluster.nodes.map(({ name }) => name).filter((node) => isHealthyOn(view, node, service.name))
}

/** Who could take over, best first, and why not the others. */
export function standing(view: View, service: ServiceSpec): Candidate[] {
  if (service.traits.replicates) return candidatesIn(view, service)
  return hasLeader(service) ? candidatesFor(view, service) : []
}
