/**
 * A node that should have a copy follows the primary: as it is when its log is a part of the primary's, after a rewind when it
 * has something of its own, as a fresh copy when nothing else is sound. Which of these is for the driver to find out, because
 * it can ask both logs; that something has to be done is seen from here. A copy that was fenced for the primary's term begins as
 * soon as that is chosen, and waits at its server for the end of the promotion: the first write is confirmed by whoever is there
 * first. Others begin when it leads, and those whose server is down a moment after that (spare-start.ts).
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
  const found = (
    name: Problem['rule'],
    why: string,
    told: NonNullable<Problem['told']>,
    steps: Problem['steps'],
  ): Problem => {
    return { rule: name, service: service.name, evidence: 'first-hand', why, steps: mayStart ? steps : [], told }
  }
  if (leads || isAwaited(view, service.name, record)) {
    const name = diverged ? 'standby-diverged' : 'standby-behind'
    const why = diverged
      ? `${service.name} on ${view.self} may have diverged from ${quorum.primary}: rewinding or re-cloning it`
      : `${service.name} on ${view.self} does not follow ${quorum.primary}`
    return found(name, why, diverged ? 'by-actor' : 'not', [{ kind: 'follow', service: service.name, quorum }])
  }
  if (instance.state !== 'stopped') return undefined
  if (quorum.term === 1 && phase === 'promoting') return undefined // the first copy is being made: there is none here
  const why = `${service.name} on ${view.self} is down: ${instance.note || 'it does not run'}`
  // It led in a term that is over, and may be all that is left of that term's writes: fenced it runs, and says how far it is.
  if (instance.term > 0)
    return found('standby-down', why, 'by-actor', [{ kind: 'recruit', service: service.name, term: quorum.term }])
  return found('standby-down', why, 'by-actor', [{ kind: 'start', service: service.name, role: 'standby', term: 0 }])
})

function isPlacedHere(view: View, service: ServiceSpec, { standbys }: QuorumConfig): boolean {
  return placedReplicas(view, service).includes(view.self) || standbys.includes(view.self)
}

/** The one that is to lead is there, and this copy is fenced for its term. */
function isAwaited(view: View, service: ServiceName, record: ReplicatedRecord): boolean {
  const { primary, term } = newestConfig(record)
  const { pledged, recruited } = localInstance(view, service).replica ?? {}
  const isThere = instanceOn(view, primary, service)?.state === 'running'
  return record.replica.phase === 'promoting' && isThere && pledged === term && recruited === true
}

/** It waits for, or copies from, the primary of a term that is over, and was too late to be recruited for this one. */
function calledOff(node: NodeName, service: ServiceName, term: Term): Problem {
  const why = `${service} on ${node} waits for the primary of an older term than ${term}`
  const steps = [{ kind: 'recruit' as const, service, term }]
  return { rule: 'standby-behind', service, evidence: 'first-hand', why, told: 'not', steps }
}
