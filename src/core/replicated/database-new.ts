/**
 * The service has never had a primary: there is no data anywhere that counts. One node wins term 1 by compare-and-swap
 * and creates the first replica; the others clone it. The first `QuorumConfig` names all of them at once, so no write
 * is acknowledged before it is on a quorum. The record comes before the data: a node that dies in between finds in it
 * what it was about to do.
 */

import type { NodeName, ServiceSpec } from '../model.ts'
import { unmetNeeds } from '../needs.ts'
import { forEachReplicated } from '../problems/problem.ts'
import type { ServiceRecord } from '../records.ts'
import { nodeState, recordOf, type View } from '../view.ts'
import type { QuorumConfig } from './quorum-config.ts'
import { placedReplicas, replicaOn, replicationOf } from './replica-facts.ts'

export const databaseNew = forEachReplicated((view, service) => {
  const record = recordOf(view, service.name)
  if (record.replica || !view.store.reachable || view.local.stopping) return undefined
  const placed = placedReplicas(view, service)
  const alive = placed.filter((node) => nodeState(view, node) === 'alive')
  const { adopts, degrade } = replicationOf(service)
  // Its first writes would be on one node only.
  const isAlone = degrade === 'block' && service.instances > 1 && placed.length < 2
  const holders = view.cluster.nodes.map(({ name }) => name).filter((node) => replicaOn(view, node, service)?.position)
  const rank = adopts ? (holders.join() === view.self ? 0 : -1) : alive.indexOf(view.self)
  const waits = [...unmetNeeds(view, service), ...(isAlone ? ['a second node that can have a replica'] : [])]
  const first = firstRecord(view, service, record.term + 1, placed)
  const myTurn = rank >= 0 && view.local.startedAgoMs >= (rank + 1) * view.cluster.timing.staggerMs
  return {
    rule: 'database-new',
    service: service.name,
    evidence: 'inferred',
    why: `${adopts ? whatIsThere(service, holders) : `${service.name} has no data yet`}${waits.length > 0 ? ` and waits for ${waits.join(', ')}` : ''}`,
    told: adopts && holders.length !== 1 ? 'once' : 'by-actor',
    steps:
      myTurn && waits.length === 0
        ? [
            {
              kind: 'record',
              service: service.name,
              what: `${view.self} creates the database ${service.name} in term ${first.term}`,
              record: first,
              revision: record.revision,
            },
          ]
        : [],
  }
})

function whatIsThere({ name }: ServiceSpec, holders: readonly NodeName[]): string {
  if (holders.length === 0) return `${name} is to take over data that is there, and no node has any`
  if (holders.length === 1) return `${name} takes over the data on ${holders.join()}`
  return `${name} is to take over data that is there, and ${holders.join(' and ')} have some: leave it on one of them`
}

function firstRecord(view: View, service: ServiceSpec, term: number, placed: readonly NodeName[]): ServiceRecord {
  const standbys = placed.filter((node) => node !== view.self).slice(0, Math.max(0, service.instances - 1))
  const k = Math.min(replicationOf(service).k, standbys.length)
  const quorum: QuorumConfig = { term, primary: view.self, standbys, k, id: quorumId(term, view.self, view.wall) }
  return { term, primary: view.self, replica: { phase: 'promoting', by: view.self, quorumConfigs: [quorum] } }
}

/** Unique for each promotion, also when terms begin anew because the store was lost. */
export function quorumId(term: number, node: string, wall: number): string {
  return `${term}-${node}-${wall.toString(36)}`
}
