/**
 * An instance runs as primary here without the lead: its lease ended unnoticed (a frozen agent, a lost disk, a machine
 * that slept). Another node may have started one by now, so it is killed at once; ending it in order would take time
 * that is not left.
 */
import type { ServiceSpec, Term } from '../model.ts'
import { holdsLead, leadOf, localInstance, type View } from '../view.ts'
import { forEachService } from './problem.ts'

export const twoWriters = forEachService((view, service) => {
  const instance = localInstance(view, service.name)
  if (!service.traits.singleWriter || instance.role !== 'primary' || instance.state === 'stopped') return undefined
  const lead = leadOf(view, service.name)
  const leads = holdsLead(view, service.name) && lead?.term === instance.term
  if (leads) return undefined
  // Without the store's word, the lease that this agent counts itself is enough, as long as it lasts.
  const lease = view.local.leases[service.name]
  if (!view.store.reachable && lease?.term === instance.term && lease.endsInMs > 0) return undefined
  if (!lease && mayBeTakenOver(view, service, instance.term)) return undefined
  return {
    rule: 'two-writers',
    service: service.name,
    evidence: 'first-hand',
    why: `${view.self} still runs as primary of ${service.name} in term ${instance.term}, ${insteadOf(view, service, instance.term)}`,
    steps: [{ kind: 'kill', service: service.name }],
  }
})

function insteadOf(view: View, { name }: ServiceSpec, term: Term): string {
  const lead = leadOf(view, name)
  if (!lead) return 'and no node holds the lead'
  const isOurs = lead.node === view.self && lead.term === term
  return isOurs ? 'and its lease has ended by its own clock' : `but ${lead.node} holds the lead in term ${lead.term}`
}

/**
 * An agent that was restarted finds the primary of the one before it, under a lease that it does not hold yet. The
 * fence still counts that lease and kills in time; so it is given one lease's time to be taken over.
 */
function mayBeTakenOver(view: View, { name, timing }: ServiceSpec, term: Term): boolean {
  const lead = leadOf(view, name)
  const isOurs = lead?.node === view.self && lead.term === term
  return view.local.startedAgoMs < timing.leaseMs && (isOurs || !view.store.reachable)
}
