/**
 * A node that should have a replica follows the primary: as it is when its WAL is a part of the primary's, after a
 * rewind when it has something of its own, as a new clone when nothing else is sound. The driver finds out which,
 * because it can compare both WALs; this only says that something has to be done. A replica that was recruited for the
 * primary's term begins as soon as that is elected, and waits at its server for the end of the promotion: the first
 * standby there confirms the first write. Others begin when it serves, and those whose server is down a moment after
 * that (spare-start.ts).
 */

import type { NodeName, ServiceName, ServiceSpec, Term } from '../model.ts'
import { forEachReplicated, type Problem } from '../problems/problem.ts'
import { instanceOn, localInstance, type View } from '../view.ts'
import type { QuorumConfig } from './quorum-config.ts'
import { leadsIn, newestConfig, placedReplicas, type ReplicatedRecord, replicatedRecord } from './replica-facts.ts'
import { canBeSpared } from './spare-start.ts'

export const standbyBehind = forEachReplicated((view, service) => {
  const record = replicatedRecord(view, service)
  if (!record || view.local.stopping) return undefined
  const quorum = newestConfig(record)
  const { phase } = record.replica
  if (phase === 'recruiting' || phase === 'switching-over') return undefined
  if (quorum.primary === view.self || quorum.term !== record.term) return undefined
  const instance = localInstance(view, service.name)
  const { pledged = 0, receivingFrom = null, diverged = false } = instance.replica ?? {}
  if (!isPlacedHere(view, service, quorum) || canBeSpared(view, service, record)) return undefined
  if (pledged > quorum.term || instance.state === 'stopping') return undefined
  const follows = instance.state === 'running' && instance.role === 'standby' && receivingFrom === quorum.primary
  if (follows && pledged === quorum.term) return undefined
  if (pledged < quorum.term && view.local.busy[service.name]?.step === 'follow')
    return calledOff(view.self, service.name, quorum.term)
  const leads = leadsIn(instanceOn(view, quorum.primary, service.name), quorum.term)
  const mayStart = instance.state === 'running' || instance.retryInMs <= 0
  type Told = NonNullable<Problem['told']>
  const found = (rule: Problem['rule'], why: string, told: Told, steps: Problem['steps']): Problem => {
    return { rule, service: service.name, evidence: 'first-hand', why, steps: mayStart ? steps : [], told }
  }
  if (leads || isAwaited(view, service.name, record)) {
    const name = diverged ? 'standby-diverged' : 'standby-behind'
    const why = diverged
      ? `${service.name} on ${view.self} may have diverged from ${quorum.primary}: rewinding or re-cloning it`
      : `${service.name} on ${view.self} does not follow ${quorum.primary}`
    return found(name, why, diverged ? 'by-actor' : 'not', [{ kind: 'follow', service: service.name, quorum }])
  }
  if (instance.state !== 'stopped') return undefined
  if (quorum.term === 1 && phase === 'promoting') return undefined // the first replica is being created: there is no data here
  const why = `${service.name} on ${view.self} is down: ${instance.note || 'it does not run'}`
  // It was primary in a term that is over, and may have the only WAL of that term: recruited it runs, and reports its
  // position.
  if (instance.term > 0)
    return found('standby-down', why, 'by-actor', [{ kind: 'recruit', service: service.name, term: quorum.term }])
  return found('standby-down', why, 'by-actor', [{ kind: 'start', service: service.name, role: 'standby', term: 0 }])
})

function isPlacedHere(view: View, service: ServiceSpec, { standbys }: QuorumConfig): boolean {
  return placedReplicas(view, service).includes(view.self) || standbys.includes(view.self)
}

/** The elected primary's server is there, and this replica is recruited for its term. */
function isAwaited(view: View, service: ServiceName, record: ReplicatedRecord): boolean {
  const { primary, term } = newestConfig(record)
  const { pledged, recruited } = localInstance(view, service).replica ?? {}
  const isThere = instanceOn(view, primary, service)?.state === 'running'
  return record.replica.phase === 'promoting' && isThere && pledged === term && recruited === true
}

/** It waits for, or clones from, the primary of a term that is over, and was too late to be recruited for this one. */
function calledOff(node: NodeName, service: ServiceName, term: Term): Problem {
  const why = `${service} on ${node} waits for the primary of an older term than ${term}`
  const steps = [{ kind: 'recruit' as const, service, term }]
  return { rule: 'standby-behind', service, evidence: 'first-hand', why, told: 'not', steps }
}
