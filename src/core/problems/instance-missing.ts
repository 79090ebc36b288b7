/**
 * An instance should run here and does not: it was placed here and never started, or it ended by itself. Active
 * instances and warm standbys alike; a primary is the business of `primary-down` and `no-primary`.
 */
import type { InstanceReport } from '../model.ts'
import { unmetNeeds } from '../needs.ts'
import { placedOn } from '../placement.ts'
import type { Rule } from '../rule-names.ts'
import { hasLeader, leadOf, localInstance } from '../view.ts'
import { forEachUnreplicated } from './problem.ts'

/** From here on a start proves nothing: only a spell of good health does, which sets `failures` to 0. */
const CRASHING = 2

export function isCrashing({ failures }: InstanceReport): boolean {
  return failures >= CRASHING
}

export const instanceMissing = forEachUnreplicated((view, service) => {
  const instance = localInstance(view, service.name)
  // By the store's word: a new agent holds no lease yet, and what leads here is no standby's business.
  const isLeader = leadOf(view, service.name)?.node === view.self
  const runsStandbys = hasLeader(service) && service.standby === 'warm'
  if (instance.state !== 'stopped' || view.local.stopping || isLeader) return undefined
  if (hasLeader(service) && !runsStandbys) return undefined
  if (!placedOn(view, service).includes(view.self)) return undefined
  const role = hasLeader(service) ? 'standby' : 'active'
  const found = (rule: Rule, evidence: 'first-hand' | 'inferred', why: string, mayStart: boolean) => ({
    rule,
    service: service.name,
    evidence,
    why,
    steps: mayStart
      ? [{ kind: 'start' as const, service: service.name, role: role as 'active' | 'standby', term: 0 }]
      : [],
  })
  const needs = hasLeader(service) ? [] : unmetNeeds(view, service)
  if (needs.length > 0)
    return found('needs-not-met', 'inferred', `${service.name} waits for ${needs.join(', ')}`, false)
  if (instance.failures === 0) {
    return found(
      'instance-missing',
      'inferred',
      `${service.name} belongs on ${view.self} and does not run there`,
      instance.retryInMs <= 0,
    )
  }
  const ended = `${service.name} on ${view.self} is down: ${instance.note || 'it has ended'}`
  if (!isCrashing(instance)) return found('instance-down', 'first-hand', ended, instance.retryInMs <= 0)
  return found(
    'instance-crashing',
    'first-hand',
    `${ended}; ${instance.failures} times in a row, restarts back off`,
    instance.retryInMs <= 0,
  )
})
