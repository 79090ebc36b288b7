/**
 * The operator asked for the cluster, or this node, to stop. Each node ends its own instances, gives up its leads so
 * that the next start has no lease to wait for, and then ends itself. Nothing is taken over meanwhile: no finder starts
 * anything on a node that is stopping.
 */

import type { Finder } from './problem.ts'
import { endOf } from './service-end.ts'

export const CLUSTER_STOPPED = 'cluster-stopped'

export const clusterStopped: Finder = (view) => {
  if (!view.local.stopping) return []
  const services = [...view.cluster.services, ...(view.config?.removed ?? [])]
  const isTakenOut = view.cluster.nodes.every(({ name }) => name !== view.self)
  const reason = isTakenOut ? `${view.self} was taken out of the config` : 'the cluster is being stopped'
  const perService = services.flatMap(({ name }) => endOf(view, name, CLUSTER_STOPPED, reason) ?? [])
  if (perService.length > 0) return perService
  const why = isTakenOut
    ? `nothing runs on ${view.self} any more: ${reason}`
    : `nothing runs on ${view.self} any more, as was asked`
  return [{ rule: CLUSTER_STOPPED, service: null, evidence: 'first-hand', why, steps: [{ kind: 'exit' }] }]
}
