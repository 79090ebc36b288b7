/**
 * The primary of a replicated service moves on purpose, because an operator asked for it or its node is drained. Each
 * turn takes the one step that the facts ask for, so an agent that is restarted half way goes on where it was:
 *
 *     catch up    until the successor is close; what takes too long is called off, and nothing has happened
 *     go ahead    the record says `switching-over` and names the successor: balancers log their sessions in there ahead
 *     hold        open transactions end, and balancers let none begin; sessions stay where they are
 *     leave       sessions that need something more from the primary leave it one by one, when that takes long
 *     demote      the primary ends in order, and its standbys get all its WAL; its end moves the sessions
 *     recruit     the next term is won; from here on as after any failure, and the successor is preferred
 *     promote, release
 *
 * Until sessions leave or the primary ends, nothing has happened that could not be taken back: when a transaction does not end in time, the
 * switchover is called off, the record says `serving` again in the term that it was in, and clients that were held go on in the
 * same sessions. When the primary dies during the switchover, the others recruit without it.
 */

import { formatDuration } from '../../lib/duration.ts'
import type { NodeName, ServiceSpec } from '../model.ts'
import { forEachReplicated, type Problem } from '../problems/problem.ts'
import type { ServiceRecord, Vacancy } from '../records.ts'
import { SWITCHOVER_EXPIRES_MS } from '../switchover-check.ts'
import { isDrained, localInstance, type View } from '../view.ts'
import { failureOf } from './primary-evidence.ts'
import { couldBeat, newestConfig, type ReplicatedRecord, replicatedRecord } from './replica-facts.ts'
import { successorFor, successorRefusal } from './successor.ts'

/**
 * How long the primary may take to end leading. Its driver gives up before (at most a checkpoint of 3 s, and two times 2 s for
 * open transactions, each followed by a hold of at most 2 s); this is for an agent that was restarted in between and cannot get
 * through.
 */
const HANDS_OVER_WITHIN_MS = 15_000
/** A drained node tries again after so long: each try holds all clients for as long as one transaction stays open. */
const DRAINED_AGAIN_MS = 30_000

export const switchover = forEachReplicated((view, service) => {
  const record = replicatedRecord(view, service)
  if (!record || view.local.stopping || !view.store.reachable) return undefined
  if (record.replica.phase === 'switching-over') return switchingOver(view, service, record)
  const quorum = newestConfig(record)
  if (record.replica.phase !== 'serving' || quorum.primary !== view.self) return undefined
  if (record.switchover) return asked(view, service, record, record.switchover)
  if (!isDrained(view, view.self)) return undefined
  return drained(view, service, record)
})

function drained(view: View, service: ServiceSpec, record: ReplicatedRecord): Problem {
  const found = (why: string): Problem => {
    return { rule: 'node-drained', service: service.name, evidence: 'inferred', why, steps: [] }
  }
  const { calledOff } = record.replica
  const againInMs = DRAINED_AGAIN_MS - (view.store.recordForMs[service.name] ?? 0)
  if (calledOff !== undefined && againInMs > 0)
    return found(`${view.self} is drained, but ${service.name} stays for now: ${calledOff}`)
  const to = successorFor(view, service)
  if (to === undefined)
    return found(`${view.self} is drained, but no other node can run the primary of ${service.name}: it stays`)
  return begin(view, service, record, 'node-drained', to, `${view.self} is drained: ${service.name} moves to ${to}`)
}

function asked(
  view: View,
  service: ServiceSpec,
  record: ReplicatedRecord,
  { id, to }: { id: string; to: NodeName },
): Problem {
  const ageMs = view.store.switchoverForMs[service.name] ?? 0
  const refusal = successorRefusal(view, service, to)
  const why = `a switchover of ${service.name} to ${to} was asked for`
  if (refusal === undefined) return begin(view, service, record, 'switchover-requested', to, why)
  const found = (rule: Problem['rule'], said: string, steps: Problem['steps']): Problem => {
    return { rule, service: service.name, evidence: 'first-hand', why: said, steps }
  }
  if (refusal.passes && ageMs <= SWITCHOVER_EXPIRES_MS)
    return found('switchover-requested', `${why}: ${refusal.why}`, [])
  const late = ageMs > SWITCHOVER_EXPIRES_MS ? ` (asked for ${formatDuration(ageMs)} ago)` : ''
  return found(
    'switchover-called-off',
    `the switchover of ${service.name} to ${to} is called off: ${refusal.why}${late}`,
    [{ kind: 'call-off', service: service.name, id }],
  )
}

function begin(
  view: View,
  service: ServiceSpec,
  record: ReplicatedRecord,
  rule: Problem['rule'],
  to: NodeName,
  why: string,
): Problem {
  const vacancy: Vacancy = { rule, why, by: view.self, noticedAt: view.wall, successor: to }
  const next: ServiceRecord = {
    term: record.term,
    primary: view.self,
    vacancy,
    replica: { phase: 'switching-over', by: record.replica.by, quorumConfigs: record.replica.quorumConfigs },
  }
  const what = `${view.self} begins the switchover of ${service.name} to ${to}`
  const { revision } = record
  const steps: Problem['steps'] = [{ kind: 'record', service: service.name, what, record: next, revision }]
  return { rule, service: service.name, evidence: 'first-hand', why, steps }
}

function switchingOver(view: View, service: ServiceSpec, record: ReplicatedRecord): Problem | undefined {
  const quorum = newestConfig(record)
  const found = (name: Problem['rule'], why: string, ...steps: Problem['steps']): Problem => {
    return { rule: name, service: service.name, evidence: 'first-hand', why, told: 'not', steps }
  }
  const { rule: name = 'switchover', why = `switchover of ${service.name}` } = record.vacancy ?? {}
  const isOurs = quorum.primary === view.self
  const { state, role, replica } = localInstance(view, service.name)
  if (isOurs && (replica?.pledged ?? 0) > quorum.term) return found(name, why, recruited(view, service, record))
  const failure = failureOf(view, service, quorum)
  if (failure && couldBeat(view, service, record.replica.quorumConfigs, quorum.primary)) {
    const noticedAt = Math.round(view.wall - Math.max(0, failure.forMs))
    const how = `${failure.why}, during a switchover`
    const vacancy: Vacancy = { rule: failure.rule, why: how, by: view.self, noticedAt }
    return found(failure.rule, how, recruited(view, service, { ...record, vacancy }))
  }
  if (!isOurs) return failure && found(name, failure.why)
  if (failure) return calledOff(service, record, failure.why)
  if (state === 'stopping') return found(name, why) // it waits for open transactions
  if (state !== 'running' || role !== 'primary') return calledOff(service, record, `${view.self} is not primary`)
  const isLate = (view.store.recordForMs[service.name] ?? 0) > HANDS_OVER_WITHIN_MS
  const failed = view.local.failedIn[service.name]
  if (failed?.term === quorum.term + 1) return calledOff(service, record, failed.why)
  if (isLate) return calledOff(service, record, `${view.self} did not end leading in time`)
  return found(name, why, { kind: 'demote', service: service.name, term: quorum.term + 1 })
}

/** This node has not pledged the next term, and no other does while the record says so: all is as it was before. */
function calledOff(service: ServiceSpec, record: ReplicatedRecord, why: string): Problem {
  const { vacancy, revision, replica } = record
  const to = vacancy?.successor === undefined ? '' : ` to ${vacancy.successor}`
  const said = `the switchover of ${service.name}${to} is called off: ${why}`
  const { phase: _, ...kept } = replica
  const serving: ServiceRecord = {
    term: record.term,
    primary: record.primary,
    replica: { ...kept, phase: 'serving', calledOff: why },
  }
  const step = { kind: 'record' as const, service: service.name, what: said, record: serving, revision }
  return {
    rule: 'switchover-called-off',
    service: service.name,
    evidence: 'first-hand',
    why: said,
    told: 'not',
    steps: [step],
  }
}

function recruited(view: View, service: ServiceSpec, record: ReplicatedRecord): Problem['steps'][number] {
  const { revision, ...kept } = record
  const term = record.term + 1
  const next = { ...kept, term, replica: { ...record.replica, phase: 'recruiting' as const, by: view.self } }
  const what = `${view.self} won term ${term} of ${service.name}`
  return { kind: 'record', service: service.name, what, record: next, revision }
}
