/**
 * A rolling change: instances that do not run as the config says are replaced, so many at a time, and each has to be healthy for
 * a while before the next one goes. Who may go is agreed by compare-and-swap on one record for each service, because views differ:
 * two nodes that each believe to be the only one would take two instances down.
 *
 * A turn is taken by a node for itself. It ends when the new instance has been healthy for `pauseMs`; when the new instance
 * fails, no node takes a turn any more until the service has another config: one instance was lost, and no second one will be.
 *
 * The order: what is unhealthy anyway, then standbys and active instances, then the primary, which is switched over and never
 * killed. Failures of nodes during all of this are handled as ever: this only adds a reason to stop an instance.
 */
import type { NodeName, ServiceSpec, UpdateOptions } from './model.ts'
import { placedOn } from './placement.ts'
import type { RolloutRecord } from './records.ts'
import { soundNodes } from './redundancy-missing.ts'
import { placedReplicas } from './replicated/replica-facts.ts'
import type { Revised } from './store-facts.ts'
import { instanceOn, isHealthy, leaderOf, nodeState, type View } from './view.ts'

/** `pauseMs`: as Nomad's `min_healthy_time`; Kubernetes has 0, which proves nothing. */
export const UPDATE_DEFAULTS: UpdateOptions = { atOnce: 1, pauseMs: 10_000, onFailure: 'stop' }

export function updateOf({ update }: ServiceSpec): UpdateOptions {
  return update ?? UPDATE_DEFAULTS
}

/** Specs never change, and each is asked for in every turn. */
const targets = new WeakMap<ServiceSpec, string>()

/** Names what a service should be: FNV-1a over all that an instance could be outdated by. */
export function targetOf(service: ServiceSpec): string {
  const known = targets.get(service)
  if (known !== undefined) return known
  const { instances: _, replication: __, stopped: ___, update: ____, ...rest } = service
  let hash = 0x811c9dc5
  for (const char of JSON.stringify(rest)) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193)
  const target = (hash >>> 0).toString(16).padStart(8, '0')
  targets.set(service, target)
  return target
}

/**
 * The roll-out that is under way, or a new one. Turns outlast a change of the target: the instance of such a node is down or
 * unproven whatever it was replaced for, and a second one must not go because the target is another since.
 */
export function rolloutOf(view: View, service: ServiceSpec): Revised<RolloutRecord> {
  const found = view.store.rollouts?.[service.name]
  const target = targetOf(service)
  return found?.target === target ? found : { target, turns: found?.turns ?? [], revision: found?.revision ?? 0 }
}

/**
 * Is an instance that fails the fault of what is rolled out, wherever it was started? Until one has been healthy for a while. A node
 * may start what is new without a turn: a failover brought it there, or the old instance ended by itself. Replicas stay where they
 * are, and their drivers count failures of what is old, too: of those only a turn says more.
 */
export function isOnTrial(view: View, service: ServiceSpec): boolean {
  if (service.traits.replicates) return false
  const found = view.store.rollouts?.[service.name]
  if (found?.target === targetOf(service)) return !found.proven && !found.failed
  return view.cluster.nodes.some(({ name }) => isOutdatedOn(view, service, name))
}

export function isOutdatedOn(view: View, service: ServiceSpec, node: NodeName): boolean {
  const instance = instanceOn(view, node, service.name)
  return nodeState(view, node) !== 'lost' && instance?.state === 'running' && instance.outdated !== undefined
}

/** Those that run and are outdated, in the order in which they go: first what is unhealthy, or was until a moment ago. */
export function outdatedNodes(view: View, service: ServiceSpec): NodeName[] {
  const nodes = view.cluster.nodes.map(({ name }) => name).filter((node) => isOutdatedOn(view, service, node))
  if (nodes.length < 2) return nodes
  const primary = leaderOf(view, service)?.node
  const rank = (node: NodeName) => {
    const instance = instanceOn(view, node, service.name)
    if (node === primary) return instance?.outdated?.needs === 'in-place' && othersWait(view, service, node) ? 1 : 4
    if (!isHealthy(instance)) return 0
    return isUnproven(view, service, node) ? 2 : 3
  }
  return nodes
    .map((node) => ({ node, rank: rank(node) }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ node }) => node)
}

/** Nothing is outdated but what is to be restarted in place: then the primary goes before its standbys. */
function othersWait(view: View, service: ServiceSpec, primary: NodeName): boolean {
  return view.cluster.nodes.every(({ name }) => {
    const outdated = instanceOn(view, name, service.name)?.outdated
    return name === primary || outdated === undefined || outdated.needs === 'in-place'
  })
}

export function placedNodes(view: View, service: ServiceSpec): NodeName[] {
  return service.traits.replicates ? placedReplicas(view, service) : placedOn(view, service)
}

/**
 * Nodes where an instance belongs and does not count now, for whatever reason; those that have a turn are not named. One that has
 * not been healthy for long does not count, wherever it was started: it may be about to fail as others of its version did.
 */
export function missingNodes(view: View, service: ServiceSpec, turns: readonly NodeName[]): NodeName[] {
  const sound = soundNodes(view, service).filter((node) => !isUnproven(view, service, node))
  return placedNodes(view, service).filter((node) => !sound.includes(node) && !turns.includes(node))
}

function isUnproven(view: View, service: ServiceSpec, node: NodeName): boolean {
  const instance = instanceOn(view, node, service.name)
  if (instance?.state !== 'running') return false // a cold standby has nothing to prove
  // As long as nothing was ever rolled out, what is outdated is what the service began with.
  if (instance.outdated && !view.store.rollouts?.[service.name]) return false
  return instance.failures > 0 || instance.healthForMs < updateOf(service).pauseMs
}

/** May `node` go now? `rollout.turns` does not name it. */
export function mayGo(view: View, service: ServiceSpec, node: NodeName, { turns }: RolloutRecord): boolean {
  const places = updateOf(service).atOnce - turns.length
  if (places <= 0) return false
  const waiting = outdatedNodes(view, service).filter((one) => !turns.includes(one))
  const index = waiting.indexOf(node)
  if (index < 0 || index >= places) return false
  if (!isHealthy(instanceOn(view, node, service.name))) return true // nothing is lost by it
  return missingNodes(view, service, turns).filter((one) => one !== node).length < places
}
