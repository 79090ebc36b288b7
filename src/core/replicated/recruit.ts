/**
 * A node has won a term: every replica is recruited for it. It pledges on its disk to accept nothing from a lower term,
 * ends its receiver, and only then reads its position, which its report carries to all nodes. A primary that learns of
 * the term ends in the same way, and its own position is as good as those of all its standbys together.
 *
 * What is under way here (a clone, a promotion of an older term) is called off. Only a replica whose server is down
 * does not hurry while the others are enough (spare-start.ts): it acknowledges nothing as it is.
 */

import { forEachReplicated } from '../problems/problem.ts'
import { localInstance } from '../view.ts'
import { isConcerned, replicatedRecord } from './replica-facts.ts'
import { canBeSpared } from './spare-start.ts'

export const recruit = forEachReplicated((view, service) => {
  const record = replicatedRecord(view, service)
  if (record?.replica.phase !== 'recruiting' || view.local.stopping) return undefined
  const { replica } = localInstance(view, service.name)
  if (!isConcerned(view, service, view.self)) return undefined
  if (replica && (replica.pledged > record.term || (replica.pledged === record.term && replica.recruited)))
    return undefined
  if (canBeSpared(view, service, record)) return undefined
  return {
    rule: 'recruit',
    service: service.name,
    evidence: 'first-hand',
    why: `term ${record.term} of ${service.name} is being won: ${view.self} helps no lower one any more`,
    told: 'not',
    steps: [{ kind: 'recruit', service: service.name, term: record.term }],
  }
})
