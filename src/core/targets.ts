/**
 * Where an endpoint routes: which instances get work, which only finish what they have, and which are disconnected. The
 * agent of a silent node may be dead while its instances serve on, so its last report stays in the table; the balancer
 * finds out whether the instance still answers.
 */

import type { InstanceReport, NodeName, NodeReport, NodeSpec, Role, ServiceName, ServiceSpec } from './model.ts'
import type { ReadOnly } from './replicated/read-only.ts'
import { lagBytesOf } from './replicated/replica-facts.ts'
import type { Route, Target } from './routing-table.ts'
import { instanceOn, nodeState, recordOf, type View } from './view.ts'

/** `before`: where it led until now; undefined when that is not known. */
export function targetsFor(
  view: View,
  service: ServiceSpec,
  purpose: Route['purpose'],
  before: readonly Target[] | undefined,
): readonly Target[] {
  const role: Role = purpose === 'serving' ? 'active' : purpose
  const targets: Target[] = []
  for (const node of view.cluster.nodes) {
    const instance = instanceOn(view, node.name, service.name)
    const state = instance && instance.role === role ? targetState(instance) : undefined
    if (!instance || instance.port === undefined || state === undefined || !mayServe(instance)) continue
    const target = targetAt(node, instance, instance.port, state)
    targets.push(role === 'primary' ? asItEnds(target, instance) : target)
  }
  if (purpose === 'standby') return targets.map((target) => drainedIfBehind(view, service, target, before))
  if (purpose !== 'primary') return targets
  const newest = Math.max(recordOf(view, service.name).term, ...targets.map(({ term }) => term))
  // A primary of an older term is fenced or about to be: nothing of it may be believed any more, even while the newest
  // term has no instance that could be seen. A primary that switches over is still of the newest term: it reports
  // `stopping` when nothing new may be sent.
  const led = targets.map((target): Target => (target.term >= newest ? target : { ...target, state: 'dead' }))
  const next = successorIn(view, service)
  return next && !led.some(({ node }) => node === next.node) ? [...led, next] : led
}

/** A primary that is about to end in order says so in two steps: first nothing begins there, then sessions leave. */
function asItEnds(target: Target, { state, holding }: InstanceReport): Target {
  const isServing = target.state === 'serving'
  const held: Target =
    holding === undefined ? target : { ...target, holds: holding, state: isServing ? 'draining' : target.state }
  return state === 'stopping' ? { ...held, leaves: true } : held
}

/** The requested successor, until it is primary. */
function successorIn(view: View, service: ServiceSpec): Target | undefined {
  const { vacancy, replica } = recordOf(view, service.name)
  const node = view.cluster.nodes.find(({ name }) => name === vacancy?.successor)
  const instance = node && replica?.phase !== 'serving' ? instanceOn(view, node.name, service.name) : undefined
  if (!node || instance?.role !== 'standby' || instance.port === undefined) return undefined
  if (targetState(instance) !== 'serving' || !mayServe(instance)) return undefined
  return { ...targetAt(node, instance, instance.port, 'draining'), next: true }
}

function targetAt(
  node: NodeSpec,
  { service, pid, term }: InstanceReport,
  port: number,
  state: Target['state'],
): Target {
  return { id: `${service}@${node.name}:${pid ?? port}`, node: node.name, host: node.address, port, state, term }
}

/** The primaries that these routes have sessions taken away from, as `service@node`. */
export function leftBy(routes: readonly Pick<Route, 'service' | 'targets'>[]): readonly string[] {
  return routes.flatMap(({ service, targets }) => {
    return targets.filter(({ leaves }) => leaves === true).map(({ node }) => `${service}@${node}`)
  })
}

/** The primaries at which these routes let nothing begin, as `service@node#hold`. */
export function heldAt(routes: readonly Pick<Route, 'service' | 'targets'>[]): readonly string[] {
  return routes.flatMap(({ service, targets }) => {
    return targets.flatMap(({ node, holds }) => (holds === undefined ? [] : holdName(service, node, holds)))
  })
}

/** A hold of one instance; reports of an earlier one have another name. */
export function holdName(service: ServiceName, node: NodeName, hold: number): string {
  return `${service}@${node}#${hold}`
}

/** What the balancer of a node says of itself. */
export type BalancerSays = Pick<NodeReport, 'openDoors' | 'leaving' | 'holding' | 'still' | 'ready' | 'ahead'>

/**
 * How far a hold is. `asked`: some balancer lets clients begin yet. `held`: none does. `still`: and no session of a balancer
 * has a transaction open or a statement unanswered, so that nothing comes from balancers until the hold ends. `ready`: and
 * every session has been asked about its state, so that its primary may end without a further word to balancers.
 */
export type HoldProgress = 'asked' | 'held' | 'still' | 'ready'

/** Of a hold of the primary on this node. `own`: this node's balancer. */
export function holdProgress(view: View, service: ServiceSpec, hold: number, own: BalancerSays): HoldProgress {
  if (!movesSessions(service)) return 'ready'
  const name = holdName(service.name, view.self, hold)
  if (everyBalancer(view, own, ({ ready }) => ready?.includes(name) === true)) return 'ready'
  if (everyBalancer(view, own, ({ still }) => still?.includes(name) === true)) return 'still'
  return everyBalancer(view, own, ({ holding }) => holding?.includes(name) === true) ? 'held' : 'asked'
}

function movesSessions({ endpoints }: ServiceSpec): boolean {
  return endpoints.some(({ protocol, purpose }) => protocol === 'postgres' && purpose === 'primary')
}

/** Has every reachable balancer taken note that the primary on this node is about to end? `own`: this node's. */
export function heardByBalancers(view: View, service: ServiceName, own: BalancerSays): boolean {
  const place = `${service}@${view.self}`
  return everyBalancer(view, own, ({ leaving }) => leaving?.includes(place) === true)
}

/**
 * Has every reachable balancer logged in at the successor all sessions that it can? True when there is none, or nothing
 * to log in.
 */
export function wentAhead(view: View, service: ServiceSpec, own: BalancerSays): boolean {
  const next = successorIn(view, service)
  if (!next || !movesSessions(service)) return true
  return everyBalancer(view, own, ({ ahead }) => ahead?.includes(`${service.name}@${next.node}`) === true)
}

/**
 * Of those that are open. One on a node that is merely late goes on sending clients until it has heard, so it is waited
 * for.
 */
function everyBalancer(view: View, own: BalancerSays, hasSaid: (says: BalancerSays) => boolean): boolean {
  const isReady = (says: BalancerSays | null | undefined) =>
    !says?.openDoors || says.openDoors.length === 0 || hasSaid(says)
  return view.cluster.nodes.every(({ name }) => {
    if (name === view.self) return isReady(own)
    const state = nodeState(view, name)
    return (state !== 'alive' && state !== 'suspect') || isReady(view.peers[name]?.report)
  })
}

/** A primary whose quorum row is not durable admits no client; a replica that is behind or diverged answers no reads. */
function mayServe({ role, replica }: InstanceReport): boolean {
  if (!replica) return true
  return role === 'primary' ? replica.quorumDurable : !replica.quarantined && !replica.diverged
}

function targetState(instance: InstanceReport): Target['state'] | undefined {
  if (instance.state === 'stopped') return undefined
  if (instance.state === 'stopping' || instance.health === 'unhealthy') return 'draining'
  return instance.health === 'healthy' ? 'serving' : undefined
}

/** Once it was left out it must be twice as close to come back in. */
const COMES_BACK_AT = 0.5

function drainedIfBehind(
  view: View,
  service: ServiceSpec,
  target: Target,
  before: readonly Target[] | undefined,
): Target {
  const { maxLagBytes = Number.POSITIVE_INFINITY } = service.replication ?? {}
  const wasOut = before !== undefined && !isServing(before, target.node)
  const lagBytes = lagBytesOf(view, target.node, service) ?? 0
  const isBehind = lagBytes > (wasOut ? maxLagBytes * COMES_BACK_AT : maxLagBytes)
  return isBehind && target.state === 'serving' ? { ...target, state: 'draining' } : target
}

function isServing(targets: readonly Target[], of: NodeName): boolean {
  return targets.some(({ node, state }) => node === of && state === 'serving')
}

/**
 * No replica can acknowledge a write: clients are routed to one that answers reads. It gets the newest term, because it
 * takes the place of a primary and not that of an older one; former primaries are lost, and their connections are
 * closed.
 */
export function readersInstead(
  view: View,
  service: ServiceSpec,
  targets: readonly Target[],
  { reads }: ReadOnly,
): readonly Target[] {
  if (reads === null) return targets
  const term = Math.max(recordOf(view, service.name).term, ...targets.map((target) => target.term))
  const reader = targetsFor(view, service, 'standby', undefined).find(({ node }) => node === reads)
  if (reader) return [...targets.map((target) => ({ ...target, state: 'dead' as const })), { ...reader, term }]
  // Its health is that of its writes: it runs, and does not hang.
  const isUp = instanceOn(view, reads, service.name)?.hung === false
  return targets.map((target) => (target.node === reads && isUp ? { ...target, state: 'serving' } : target))
}
