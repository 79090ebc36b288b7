/**
 * The lead of a replicated service moves on purpose, because somebody asked for it or its node is drained. Each turn does the
 * one step that the facts ask for, so whoever is restarted half way goes on where it was:
 *
 *     catch up    until the successor is close; what takes too long is called off, and nothing has happened
 *     hold        the next term is won: balancers hold clients from here on
 *     demote      the primary ends in order, and its standbys get all that it has
 *     recruit     from here on as after any failure; the successor is preferred among those that are as far as anybody
 *     promote, release
 *
 * When the primary dies while it hands over, the others recruit without it.
 */

import { formatDuration } from '../../../lib/duration.ts'
import { newestRule, type Ruled, ruledRecord } from '../../copies.ts'
import { handoverRefusal, successorFor } from '../../handover.ts'
import type { NodeName, ServiceSpec } from '../../model.ts'
import type { ServiceRecord, Vacancy } from '../../records.ts'
import { SWITCHOVER_EXPIRES_MS } from '../../switchover.ts'
import { isDrained, localInstance, nodeState, type View } from '../../view.ts'
import { forEachReplicated, type Problem } from '../problem.ts'

/** How far behind a successor may be when clients begin to be held. */
const HANDS_OVER_WITHIN_MS = 3_000

export const handover = forEachReplicated((view, service) => {
  const record = ruledRecord(view, service)
  if (!record || view.local.stopping || !view.store.reachable) return undefined
  if (record.replica.phase === 'handing-over') return handingOver(view, service, record)
  const rule = newestRule(record)
  if (record.replica.phase !== 'serving' || rule.primary !== view.self) return undefined
  if (record.switchover) return asked(view, service, record, record.switchover)
  if (!isDrained(view, view.self)) return undefined
  const to = successorFor(view, service)
  const why = `${view.self} is drained: ${service.name} moves to ${to ?? 'nobody'}`
  if (to !== undefined) return begin(view, service, record, 'node-drained', to, why)
  const stays = `${view.self} is drained, but no other node can lead ${service.name}: it stays`
  return { rule: 'node-drained', service: service.name, evidence: 'inferred', why: stays, steps: [] }
})

function asked(view: View, service: ServiceSpec, record: Ruled, { id, to }: { id: string; to: NodeName }): Problem {
  const ageMs = view.store.switchoverForMs[service.name] ?? 0
  const refusal = handoverRefusal(view, service, to)
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
  record: Ruled,
  rule: Problem['rule'],
  to: NodeName,
  why: string,
): Problem {
  const vacancy: Vacancy = { rule, why, by: view.self, noticedAt: view.wall, successor: to }
  const next: ServiceRecord = {
    term: record.term + 1,
    primary: view.self,
    vacancy,
    replica: { phase: 'handing-over', by: view.self, rules: record.replica.rules },
  }
  const what = `${view.self} won term ${next.term} of ${service.name} to hand it over to ${to}`
  const { revision } = record
  const steps: Problem['steps'] = [{ kind: 'record', service: service.name, what, record: next, revision }]
  return { rule, service: service.name, evidence: 'first-hand', why, steps }
}

function handingOver(view: View, service: ServiceSpec, record: Ruled): Problem | undefined {
  const { primary } = newestRule(record)
  const why = record.vacancy?.why ?? `${service.name} is handed over`
  const found = (steps: Problem['steps']): Problem => {
    return {
      rule: record.vacancy?.rule ?? 'handover',
      service: service.name,
      evidence: 'first-hand',
      why,
      told: 'not',
      steps,
    }
  }
  const instance = localInstance(view, service.name)
  const isOurs = primary === view.self
  if (isOurs && instance.state === 'running' && instance.role === 'primary' && instance.term < record.term)
    return found([{ kind: 'demote', service: service.name, term: record.term }])
  const failed = ['condemned', 'lost'].includes(nodeState(view, primary))
  const late = (view.store.recordForMs[service.name] ?? 0) > HANDS_OVER_WITHIN_MS
  if (!isOurs && !failed && !late) return undefined
  const { revision, ...kept } = record
  const next = { ...kept, replica: { ...record.replica, phase: 'recruiting' as const, by: view.self } }
  const what = `the members of ${service.name} are recruited for term ${record.term}`
  return found([{ kind: 'record', service: service.name, what, record: next, revision }])
}
