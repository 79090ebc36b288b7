/**
 * The invariants of core/invariants.ts in the live agent: what it can know of them, it says. None of these is ever told in a
 * cluster that works; where one is, a promise is broken and a person has to look. Reports come a little late, so facts that
 * have not stood for `STANDS_FOR_MS` prove nothing, and neither does what a silent node said last.
 *
 * The spread over zones is different: it may have to be given up when nodes are away, and then it is said.
 */

import { oneWriter, onlyTheNewestAcknowledges, type Seen, termsAreGranted, zonesAreSpread } from '../invariants.ts'
import type { NodeSpec, ServiceSpec } from '../model.ts'
import { mayUse, placedOn } from '../placement.ts'
import { placedReplicas } from '../replicated/replica-facts.ts'
import { hasLeader, instanceOn, isDrained, isStopping, nodeState, recordOf, type View } from '../view.ts'
import { forEachService } from './problem.ts'

const STANDS_FOR_MS = 3_000

export const promiseBroken = forEachService((view, service) => {
  if (!hasLeader(service) || !view.store.reachable || view.local.stopping) return undefined
  if ((view.store.recordForMs[service.name] ?? 0) < STANDS_FOR_MS) return undefined
  const [why] = brokenBy(view, service)
  if (why === undefined) return undefined
  const tellAfterMs = STANDS_FOR_MS
  return {
    rule: 'promise-broken',
    service: service.name,
    evidence: 'inferred',
    why,
    steps: [],
    told: 'once',
    tellAfterMs,
  }
})

function brokenBy(view: View, service: ServiceSpec): string[] {
  const seen = leadersSeen(view, service)
  if (seen.length === 0) return []
  const { term, replica } = recordOf(view, service.name)
  const granted = termsAreGranted({ [service.name]: term }, seen)
  if (!service.traits.replicates) return [...oneWriter({ ...view.cluster, services: [service] }, seen), ...granted]
  const open = seen.filter(({ instance }) => instance.replica?.quorumDurable)
  const newest = replica?.phase === 'serving' ? term : 0
  const old = open.flatMap(({ node, instance }) => onlyTheNewestAcknowledges(service.name, node, instance.term, newest))
  return [...granted, ...old]
}

/** Who says of itself, now and for a while, that it leads. */
function leadersSeen(view: View, service: ServiceSpec): Seen[] {
  return view.cluster.nodes.flatMap(({ name }): Seen[] => {
    const instance = nodeState(view, name) === 'alive' ? instanceOn(view, name, service.name) : undefined
    if (instance?.role !== 'primary' || instance.state !== 'running' || instance.hung) return []
    return instance.stateForMs >= STANDS_FOR_MS ? [{ node: name, instance }] : []
  })
}

/** Enough nodes are left, but not in enough zones: one zone's loss would now take more of the service than it should. */
export const zoneCrowded = forEachService((view, service) => {
  if (service.instances < 2 || !(service.traits.replicates || isSomeZoneAway(view, service))) return undefined
  const on = service.traits.replicates ? placedReplicas(view, service) : placedOn(view, service)
  const [crowded] = on.length < 2 ? [] : zonesAreSpread(view.cluster, service, on)
  if (crowded === undefined) return undefined
  const why = `${crowded}: what could stand there is away, drained, or stays where its data is`
  return { rule: 'zone-crowded', service: service.name, evidence: 'inferred', why, steps: [], told: 'once' }
})

/** Placement is spread as long as each zone has a node to offer: a quick look, because this is asked in every turn. */
function isSomeZoneAway(view: View, service: ServiceSpec): boolean {
  const { nodes } = view.cluster
  const offers = ({ name }: NodeSpec) =>
    nodeState(view, name) !== 'lost' && !isDrained(view, name) && !isStopping(view, name)
  return nodes.some((node) => {
    if (!mayUse(service, node.name) || offers(node)) return false
    return !nodes.some((other) => isSameZone(other, node) && mayUse(service, other.name) && offers(other))
  })
}

function isSameZone(a: NodeSpec, b: NodeSpec): boolean {
  return a.region === b.region && a.zone === b.zone
}
