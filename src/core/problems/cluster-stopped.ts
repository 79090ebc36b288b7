/**
 * The operator asked for the cluster, or this node, to stop. Each node ends its own instances, gives up its leads so
 * that the next start has no lease to wait for, and then ends itself. Nothing is taken over meanwhile: no finder starts
 * anything on a node that is stopping. A node that was taken out of the config sets its data aside before it ends: when it is
 * added again, a service of the same name may be another one.
 */

import type { View } from '../view.ts'
import type { Finder, Problem } from './problem.ts'
import { endOf } from './service-end.ts'

export const CLUSTER_STOPPED = 'cluster-stopped'

export const clusterStopped: Finder = (view) => {
  if (!view.local.stopping) return []
  const services = [...view.cluster.services, ...(view.config?.removed ?? [])]
  const isTakenOut = view.cluster.nodes.every(({ name }) => name !== view.self)
  const reason = isTakenOut ? `${view.self} was taken out of the config` : 'the cluster is being stopped'
  const perService = services.flatMap(({ name }) => endOf(view, name, CLUSTER_STOPPED, reason) ?? [])
  if (perService.length > 0) return perService
  const kept = isTakenOut ? Object.keys(view.local.instances) : []
  if (kept.length > 0) return kept.map((service) => setAside(view, service, reason))
  const why = isTakenOut
    ? `nothing runs on ${view.self} any more: ${reason}`
    : `nothing runs on ${view.self} any more, as was asked`
  return [{ rule: CLUSTER_STOPPED, service: null, evidence: 'first-hand', why, steps: [{ kind: 'exit' }] }]
}

function setAside({ self }: View, service: string, reason: string): Problem {
  const why = `what ${service} kept on ${self} is set aside: ${reason}`
  return {
    rule: CLUSTER_STOPPED,
    service,
    evidence: 'first-hand',
    why,
    steps: [{ kind: 'retire', service }],
    told: 'not',
  }
}
