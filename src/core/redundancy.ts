/**
 * Is a service as redundant as the config asks for, and what would one more loss do? Healthy says that clients are served
 * now; redundancy says whether they still are after the next fault.
 *
 *     redundant       all that the config asks for is there, and any one node of it may fail
 *     not-redundant   all that the config asks for is there, but it asks for too little: one loss stops writes or the service
 *     degraded        clients are served, and something that the config asks for is missing
 *     unhealthy       clients are not served, or no write can be acknowledged
 *
 * Only an instance of a node that is heard now counts: what a silent node reported last may be over. A standby counts when it
 * could take over: a replica that streams and is in the quorum, a warm standby that is ready, a node that can start a cold one.
 * What a loss of the primary would do is asked of the same function as the expected RTO, so the two never disagree.
 */

import { isServing } from './explain.ts'
import type { NodeName, ServiceSpec } from './model.ts'
import { closedEndpoints, type Missing, missingInstances, soundNodes, unitOf } from './redundancy-missing.ts'
import { takeover } from './replicated/expected-rto.ts'
import { readOnlyOf } from './replicated/read-only.ts'
import { replicationOf } from './replicated/replica-facts.ts'
import { hasLeader, leaderOf, type View } from './view.ts'

/** What the loss of any one more instance or node would do, in the worst case. */
export type OneMoreLoss = 'nothing' | 'stops-writes' | 'stops-service'

export interface RedundancyState {
  readonly state: 'redundant' | 'not-redundant' | 'degraded' | 'unhealthy'
  /** How many instances the config asks for, cold standbys included. */
  readonly wanted: number
  /** How many of them are there. */
  readonly there: number
  /** Null while it is unhealthy. */
  readonly oneMoreLoss: OneMoreLoss | null
  readonly missing: readonly Missing[]
  /** A few words: `2 of 3 replicas, one more loss stops writes`. */
  readonly summary: string
}

export function redundancyOf(view: View, service: ServiceSpec): RedundancyState {
  const sound = soundNodes(view, service)
  const wanted = service.instances
  const there = Math.min(wanted, sound.length)
  const closed = closedEndpoints(view, service)
  const needsStore = hasLeader(service) && wanted > 1 && !view.store.reachable
  const found = [
    ...missingInstances(view, service, wanted - there),
    ...closed.missing,
    ...(needsStore ? [noStore(view)] : []),
  ]
  const isUp = isServing(view, service) && readOnlyOf(view, service) === undefined && !closed.all
  const missing = isUp || found.length > 0 ? found : [noPrimary(service)]
  const loss = isUp ? afterOneMore(view, service, sound) : null
  const state = loss === null ? 'unhealthy' : levelOf(service, missing, loss)
  return { state, wanted, there, oneMoreLoss: loss, missing, summary: summaryOf(service, state, there, loss) }
}

function levelOf(service: ServiceSpec, missing: readonly Missing[], loss: OneMoreLoss): RedundancyState['state'] {
  if (missing.length > 0) return 'degraded'
  if (loss === 'nothing') return 'redundant'
  return survivesOne(service) ? 'degraded' : 'not-redundant'
}

/** Does the config ask for enough that one loss stops nothing, when all of it is there? */
function survivesOne(service: ServiceSpec): boolean {
  const blocksAlone = service.traits.replicates && replicationOf(service).degrade === 'block'
  return service.instances > (blocksAlone ? 2 : 1)
}

/** All that could lead are there, and none does. */
function noPrimary(service: ServiceSpec): Missing {
  return { what: unitOf(service), node: null, why: 'it has no primary now' }
}

function noStore({ store }: View): Missing {
  return { what: 'store', node: null, why: `no failover is possible without the store: ${store.why}` }
}

function afterOneMore(view: View, service: ServiceSpec, sound: readonly NodeName[]): OneMoreLoss {
  if (!hasLeader(service)) return sound.length > 1 ? 'nothing' : 'stops-service'
  const lead = leaderOf(view, service)?.node
  const others = sound.filter((node) => node !== lead).length
  if (!service.traits.replicates)
    return others > 0 && service.instances > 1 && view.store.reachable ? 'nothing' : 'stops-service'
  if (others === 0) return 'stops-service'
  const goesOn = others > 1 || replicationOf(service).degrade === 'run-alone'
  return goesOn && takeover(view, service).best !== undefined ? 'nothing' : 'stops-writes'
}

const LOSS: Readonly<Record<OneMoreLoss, string>> = {
  nothing: '',
  'stops-writes': 'loss stops writes',
  'stops-service': 'loss stops the service',
}

function summaryOf(
  service: ServiceSpec,
  state: RedundancyState['state'],
  there: number,
  loss: OneMoreLoss | null,
): string {
  const counted = `${there} of ${service.instances} ${unitOf(service)}${service.instances === 1 ? '' : 's'}`
  const then = loss === null ? '' : LOSS[loss]
  if (state === 'not-redundant') return `${counted} as configured, one ${then}`
  return then === '' ? counted : `${counted}, one more ${then}`
}

/** What is told when it changes: the same as long as the state, the numbers and the nodes concerned are. */
export function redundancyHead(service: string, { state, summary, missing }: RedundancyState): string {
  const places = missing.map(({ node, what }) => (what === 'endpoint' ? `endpoint on ${node}` : (node ?? what)))
  const named = places.length === 0 ? '' : `; missing: ${[...new Set(places)].join(', ')}`
  return `${service} is ${state === 'not-redundant' ? 'not redundant' : state}: ${summary}${named}`
}

/** The reasons, for operators: `c: the disk is full`. */
export function missingText(missing: readonly Missing[]): string {
  return missing.map(({ node, why }) => (node === null ? why : `${node}: ${why}`)).join('; ')
}
