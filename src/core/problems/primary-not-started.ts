/**
 * This node holds the lead and its instance does not lead yet: the lead was just won. A running standby is told, else an
 * instance is started, in the term that was won.
 */
import { bestOther } from '../election.ts'
import type { NodeName, ServiceName, Term } from '../model.ts'
import type { Vacancy } from '../records.ts'
import { holdsLead, leadOf, localInstance, type View } from '../view.ts'
import { forEachUnreplicated, type Problem } from './problem.ts'

export const primaryNotStarted = forEachUnreplicated((view, service) => {
  const lead = leadOf(view, service.name)
  const instance = localInstance(view, service.name)
  if (!lead || !holdsLead(view, service.name) || instance.term === lead.term || view.local.stopping) return undefined
  if (view.local.leases[service.name]?.adopted) return undefined // primary-down gives it up, as soon as the store lets it
  const found = (why: string, step: 'start' | 'promote' | 'stop') => ({
    rule: 'primary-not-started' as const,
    service: service.name,
    evidence: 'first-hand' as const,
    why,
    told: 'not' as const,
    steps: [
      step === 'start'
        ? { kind: step, service: service.name, role: 'primary' as const, term: lead.term }
        : step === 'promote'
          ? { kind: step, service: service.name, term: lead.term }
          : { kind: step, service: service.name },
    ],
  })
  const elsewhere =
    view.local.failedIn[service.name]?.term === lead.term ? bestOther(view, service, view.self) : undefined
  if (elsewhere !== undefined && (instance.state === 'stopped' || instance.role === 'standby'))
    return givenTo(view, service.name, elsewhere, instance.note, lead.term)
  const won = `${view.self} won term ${lead.term} of ${service.name}`
  if (instance.state === 'stopped') return found(`${won} and starts it`, 'start')
  if (instance.state === 'running' && instance.role === 'standby')
    return found(`${won} and promotes its standby`, 'promote')
  if (instance.state === 'running') return found(`${won}, but what runs here is of another term: it ends first`, 'stop')
  return undefined // starting or stopping: the next turn sees how it ended
})

/** It can neither be started nor promoted here (a missing file, a port in use). Another node may be able to. */
function givenTo(view: View, service: ServiceName, successor: NodeName, note: string, term: Term): Problem {
  const why = `${service} cannot take over on ${view.self}: ${note || 'its standby refused'}`
  const vacancy: Vacancy = { rule: 'primary-not-started', why, by: view.self, noticedAt: view.wall, successor }
  return {
    rule: 'primary-not-started',
    service,
    evidence: 'first-hand',
    why,
    steps: view.store.reachable ? [{ kind: 'give-up-lead', service, term, vacancy }] : [],
  }
}
