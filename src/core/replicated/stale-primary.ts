/**
 * This node runs a primary of a term that is over. Its quorum was taken away before there was another primary, so it
 * acknowledges nothing more; but it still answers stale reads, and its clients wait for ever. It ends as primary as
 * soon as it learns of the higher term, from the record or from the pledge of any other replica: pledges are only made
 * for terms that were won. While replicas are recruited, recruit.ts does the same, and a primary that switches over
 * ends by itself.
 */

import { forEachReplicated } from '../problems/problem.ts'
import { localInstance } from '../view.ts'
import { newestConfig, replicaOn, replicatedRecord } from './replica-facts.ts'

export const stalePrimary = forEachReplicated((view, service) => {
  const record = replicatedRecord(view, service)
  const instance = localInstance(view, service.name)
  if (!record || instance.role !== 'primary' || instance.state !== 'running') return undefined
  const pledges = view.cluster.nodes.map(({ name }) => replicaOn(view, name, service)?.pledged ?? 0)
  const newest = Math.max(record.term, ...pledges)
  if (instance.term >= newest) return undefined
  const isInOrder = record.term === newest && newestConfig(record).term < newest
  if (isInOrder) return undefined
  // A server that goes on although it is recruited (its data is gone, say) is not recruited again and again: it is
  // killed.
  const isFenced = instance.replica?.recruited === true && instance.replica.pledged >= newest
  return {
    rule: 'two-writers',
    service: service.name,
    evidence: 'inferred',
    why: `${view.self} still runs as primary of ${service.name} in term ${instance.term}, current term is ${newest}`,
    // In order it would let transactions end first, and none can: their commits wait for a quorum that is not its own any more.
    steps: [
      isFenced ? { kind: 'kill', service: service.name } : { kind: 'recruit', service: service.name, term: newest },
    ],
  }
})
