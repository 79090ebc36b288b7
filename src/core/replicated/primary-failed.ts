/**
 * The primary has failed: the first node in line wins the next term by compare-and-swap, and with that every replica
 * pledges and is recruited (recruit.ts). No lease has to end. It only begins when it can succeed: with too few
 * reachable replicas it would take a working quorum away and put nothing in its place.
 */

import type { NodeName, ServiceSpec } from '../model.ts'
import { place } from '../placement.ts'
import { forEachReplicated } from '../problems/problem.ts'
import type { ServiceRecord } from '../records.ts'
import { nodeState, type View } from '../view.ts'
import { canBeConfirmed, type Failure, failureOf, stalledOf } from './primary-evidence.ts'
import { comparePositions } from './quorum.ts'
import { couldBeat, newestConfig, type ReplicatedRecord, replicaOn, replicatedRecord } from './replica-facts.ts'

export const primaryFailed = forEachReplicated((view, service) => {
  const record = replicatedRecord(view, service)
  if (!record || view.local.stopping) return undefined
  const { phase } = record.replica
  if (phase !== 'serving' && phase !== 'promoting') return undefined
  const quorum = newestConfig(record)
  const failed = failureOf(view, service, quorum)
  const failure = failed ?? (phase === 'promoting' ? stalledOf(view, service, quorum) : undefined)
  if (!failure) return undefined
  // A primary whose writes merely cannot be confirmed takes part, and may be elected again, with other standbys.
  const takesPart = !failed && !canBeConfirmed(view, quorum)
  const hopeful = couldBeat(view, service, record.replica.quorumConfigs, takesPart ? undefined : quorum.primary)
  const why = hopeful ? failure.why : `${failure.why}; no failover possible: quorum unreachable`
  const turnMs = turnOf(view, service) * view.cluster.timing.staggerMs
  const mayAct = hopeful && view.store.reachable && failure.forMs >= turnMs
  return {
    rule: failure.rule,
    service: service.name,
    evidence: failure.evidence,
    why,
    told: hopeful ? 'by-actor' : 'once',
    steps: mayAct
      ? [
          {
            kind: 'record',
            service: service.name,
            what: `${view.self} won term ${record.term + 1} of ${service.name}`,
            record: recruiting(view, record, failure),
            revision: record.revision,
          },
        ]
      : [],
  }
})

function recruiting(
  view: View,
  { term, primary, replica }: ReplicatedRecord,
  { rule, why, forMs }: Failure,
): ServiceRecord {
  return {
    term: term + 1,
    primary,
    vacancy: { rule, why, by: view.self, noticedAt: Math.round(view.wall - Math.max(0, forMs)) },
    replica: { phase: 'recruiting', by: view.self, quorumConfigs: replica.quorumConfigs },
  }
}

/** The furthest replica goes first, because it is the one that will be elected; nodes without data come last. */
function turnOf(view: View, service: ServiceSpec): number {
  const placed = place({ ...service, instances: view.cluster.nodes.length }, view.cluster.nodes)
  const order = placed.filter((node) => nodeState(view, node) === 'alive')
  const isBehind = (a: NodeName, b: NodeName): number => {
    const [mine, other] = [replicaOn(view, a, service), replicaOn(view, b, service)]
    const able = Number(isAble(other)) - Number(isAble(mine))
    if (able !== 0 || !mine?.position || !other?.position) return able
    return comparePositions(other.position, mine.position)
  }
  return Math.max(0, order.sort(isBehind).indexOf(view.self))
}

function isAble(replica: ReturnType<typeof replicaOn>): boolean {
  return replica?.position != null && !replica.quarantined && !replica.unfit
}
