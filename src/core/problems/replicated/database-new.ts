/**
 * Nobody has ever led it: there is no data anywhere that counts. One node wins term 1 by compare-and-swap and makes the first
 * copy; everybody else copies from it. The first rule names all of them at once, so not one write is acknowledged before it
 * is on a quorum. The record comes before the data: a node that dies in between finds in it what it was about to do.
 */
import { placedCopies, replicationOf } from '../../copies.ts'
import type { ServiceRecord } from '../../model.ts'
import { unmetNeeds } from '../../needs.ts'
import type { Rule } from '../../replica.ts'
import { nodeState, recordOf } from '../../view.ts'
import { forEachReplicated } from '../problem.ts'

export const databaseNew = forEachReplicated((view, service) => {
  const record = recordOf(view, service.name)
  if (record.replica || !view.store.reachable || view.local.stopping) return undefined
  const placed = placedCopies(view, service)
  const alive = placed.filter((node) => nodeState(view, node) === 'alive')
  const rank = alive.indexOf(view.self)
  const waits = unmetNeeds(view, service)
  const members = placed.filter((node) => node !== view.self)
  const rule: Rule = {
    term: record.term + 1,
    primary: view.self,
    members,
    k: Math.min(replicationOf(service).k, members.length),
    id: ruleId(record.term + 1, view.self, view.wall),
  }
  const myTurn = rank >= 0 && view.local.startedAgoMs >= (rank + 1) * view.cluster.timing.staggerMs
  return {
    rule: 'database-new',
    service: service.name,
    evidence: 'inferred',
    why: `${service.name} has no data yet${waits.length > 0 ? ` and waits for ${waits.join(', ')}` : ''}`,
    told: 'by-actor',
    steps:
      myTurn && waits.length === 0
        ? [
            {
              kind: 'record',
              service: service.name,
              what: `${view.self} makes the first copy of ${service.name} in term ${rule.term}`,
              record: firstRecord(rule),
              revision: record.revision,
            },
          ]
        : [],
  }
})

function firstRecord(rule: Rule): ServiceRecord {
  const { term, primary } = rule
  return { term, primary, replica: { phase: 'promoting', by: primary, rules: [rule] } }
}

/** Unique for each promotion, also when terms begin anew because the store was lost. */
export function ruleId(term: number, node: string, wall: number): string {
  return `${term}-${node}-${wall.toString(36)}`
}
