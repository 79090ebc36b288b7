/**
 * The operator asked for the cluster, or this node, to stop. Each node ends its own instances, gives up its leads so
 * that the next start has no lease to wait for, and then ends itself. Nothing is taken over meanwhile: no finder starts
 * anything on a node that is stopping.
 */
import type { ServiceSpec } from '../model.ts'
import type { Vacancy } from '../records.ts'
import { leadOf, localInstance, type View } from '../view.ts'
import type { Finder, Problem } from './problem.ts'

export const CLUSTER_STOPPED = 'cluster-stopped'

export const clusterStopped: Finder = (view) => {
  if (!view.local.stopping) return []
  const perService = view.cluster.services.flatMap((service) => endOf(view, service) ?? [])
  if (perService.length > 0) return perService
  const why = `nothing runs on ${view.self} any more, as was asked`
  return [{ rule: CLUSTER_STOPPED, service: null, evidence: 'first-hand', why, steps: [{ kind: 'exit' }] }]
}

function endOf(view: View, { name }: ServiceSpec): Problem | undefined {
  const found = (why: string, steps: Problem['steps']): Problem => ({
    rule: CLUSTER_STOPPED,
    service: name,
    evidence: 'first-hand',
    why,
    steps,
  })
  const lead = leadOf(view, name)
  if (localInstance(view, name).state !== 'stopped') {
    return found(`${name} ends on ${view.self}: the cluster is being stopped`, [{ kind: 'stop', service: name }])
  }
  if (lead?.node !== view.self || !view.store.reachable) return undefined
  const why = `${view.self} is being stopped`
  const vacancy: Vacancy = { rule: CLUSTER_STOPPED, why, by: view.self, noticedAt: view.wall }
  return found(`${name} has ended on ${view.self}: its lease is given up`, [
    { kind: 'give-up-lead', service: name, term: lead.term, vacancy },
  ])
}
