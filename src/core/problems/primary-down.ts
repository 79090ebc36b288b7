/**
 * The primary's process has ended, seen by its own node: the best evidence there is, so no node waits for the lease.
 * The driver says `stopped` only when nothing of the process group is left; then the lead is given up and the next in
 * line starts. Also when that is the same node again: every run of a single writer gets a term of its own, so that late
 * writes of the earlier run can be told from those of the present one. For the same reason a lead that was taken over
 * from an earlier agent, and under which nothing runs, is given up: something may have run in its term.
 */
import { bestOther } from '../election.ts'
import type { Vacancy } from '../records.ts'
import { holdsLead, leadOf, localInstance } from '../view.ts'
import { forEachUnreplicated } from './problem.ts'

export const primaryDown = forEachUnreplicated((view, service) => {
  const instance = localInstance(view, service.name)
  const term = leadOf(view, service.name)?.term
  if (view.local.stopping || term === undefined || !holdsLead(view, service.name)) return undefined
  const hasEnded = instance.state === 'stopped' && instance.term === term
  const isUnused = (view.local.leases[service.name]?.adopted ?? false) && instance.term !== term
  if (!hasEnded && !isUnused) return undefined
  const why = `the primary of ${service.name} on ${view.self} is down: ${instance.note || 'it has ended'}`
  const successor = bestOther(view, service, view.self)
  const vacancy: Vacancy = {
    rule: 'primary-down',
    why,
    by: view.self,
    noticedAt: view.wall - instance.stateForMs,
    ...(successor && { successor }),
  }
  return {
    rule: 'primary-down',
    service: service.name,
    evidence: 'first-hand',
    why,
    // Without the store nothing can be given up; the lease ends by itself.
    steps: view.store.reachable ? [{ kind: 'give-up-lead', service: service.name, term, vacancy }] : [],
  }
})
