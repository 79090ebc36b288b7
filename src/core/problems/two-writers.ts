/**
 * An instance leads here without the lead: its lease ended while nobody looked (a frozen agent, a lost disk, a machine
 * that slept). Somebody else may lead by now. It is killed at once; asking politely would take time that is not ours.
 */
import { holdsLead, leadOf, localInstance } from '../view.ts'
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
  const now = lead ? `${lead.node} leads in term ${lead.term}` : 'nobody holds the lead'
  return {
    rule: 'two-writers',
    service: service.name,
    evidence: 'first-hand',
    why: `${service.name} still leads on ${view.self} in term ${instance.term}, but ${now}`,
    steps: [{ kind: 'kill', service: service.name }],
  }
})
