/** How far the roll-out of a service is, for operators and for programs that wait for it. Output only: no decision depends on it. */
import type { NodeName, ServiceSpec } from './model.ts'
import { isOutdatedOn, outdatedNodes, placedNodes, rolloutOf, targetOf } from './rollout.ts'
import { instanceOn, isHealthyOn, leaderOf, nodeState, type View } from './view.ts'

export interface RolloutState {
  /** `stopped`: the new instance of a node failed, and no further one is replaced. */
  readonly state: 'rolling' | 'stopped'
  /** How many run as the config says, of how many. */
  readonly updated: number
  readonly of: number
  /** A sentence. */
  readonly why: string
}

/** Undefined: every instance that is heard runs as the config says. */
export function rolloutState(view: View, service: ServiceSpec): RolloutState | undefined {
  if (service.stopped) return undefined
  const { turns, failed } = rolloutOf(view, service)
  const target = targetOf(service)
  const behind = runningNodes(view, service).filter(
    (node) => turns.includes(node) || !isJudged(view, service, node, target),
  )
  const outdated = outdatedNodes(view, service)
  const pending = [...new Set([...outdated, ...behind, ...turns])]
  // The one that failed may be down at the moment, and counts all the same.
  const tried = failed && nodeState(view, failed.node) !== 'lost' ? [failed.node] : []
  const nodes = [...new Set([...runningNodes(view, service), ...pending, ...tried])]
  const counted = { updated: nodes.filter((node) => !pending.includes(node)).length, of: nodes.length }
  if (failed) {
    const isOver = pending.length === 0 && isHealthyOn(view, failed.node, service.name)
    return isOver
      ? undefined
      : { state: 'stopped', ...counted, updated: updatedBeside(failed.node, nodes, pending), why: failed.why }
  }
  if (pending.length === 0) return undefined
  const why =
    turns.length > 0
      ? `${turns.join(', ')} ${turns.length > 1 ? 'are' : 'is'} being replaced`
      : reasonOf(view, service, outdated)
  return { state: 'rolling', ...counted, why }
}

function updatedBeside(failed: NodeName, nodes: readonly NodeName[], pending: readonly NodeName[]): number {
  return nodes.filter((node) => node !== failed && !pending.includes(node)).length
}

function reasonOf(view: View, service: ServiceSpec, outdated: readonly NodeName[]): string {
  const [first] = outdated
  if (first === undefined) return 'nodes still take the new config over'
  return `${outdated.join(', ')} ${outdated.length > 1 ? 'are' : 'is'} outdated: ${instanceOn(view, first, service.name)?.outdated?.why}`
}

/** What is lost does not count, nor a standby that does not run. */
function runningNodes(view: View, service: ServiceSpec): NodeName[] {
  const leader = leaderOf(view, service)?.node
  const belongs = new Set(placedNodes(view, service))
  return view.cluster.nodes
    .map(({ name }) => name)
    .filter((node) => nodeState(view, node) !== 'lost' && (node === leader || belongs.has(node)))
    .filter((node) => (instanceOn(view, node, service.name)?.state ?? 'stopped') !== 'stopped')
}

/** Has the driver there compared what runs with what the config says now? One of an earlier version does not say. */
function isJudged(view: View, service: ServiceSpec, node: NodeName, target: string): boolean {
  const judged = instanceOn(view, node, service.name)?.target
  return judged === undefined || judged === target || isOutdatedOn(view, service, node)
}
