/**
 * Going on with the leads of an earlier agent of this node. The store says that a lead is ours and this agent does not hold
 * it: a renewal proves that its lease still lives, a look that the lead is still on it, and from then on it is ours. The same
 * happens after a swap whose outcome was unknown and that had been done. The other way round, a lead that the store shows
 * to be free or another node's is let go, so that the lease of this node is not taken for it.
 */

import { leadOf, localInstance, recordOf, type View } from '../core/view.ts'
import { inBackground } from '../lib/background.ts'
import type { Clock } from '../lib/clock.ts'
import type { Leads } from './leads.ts'
import type { Steps } from './steps-under-way.ts'

/** Between two tries for one service. */
const AGAIN_MS = 50

export interface Adoption {
  readonly clock: Clock
  readonly leads: Leads
  readonly steps: Steps
  look(): Promise<void>
}

export function adoptLeads(view: View, { clock, leads, steps, look }: Adoption): void {
  letGo(view, leads, steps)
  for (const service of view.cluster.services) {
    const lead = leadOf(view, service.name)
    const isHeld = view.local.leases[service.name] !== undefined
    if (lead?.node !== view.self || isHeld || steps.isBusy(service.name)) continue
    const release = steps.occupy(service.name)
    const { pid, startTime, term } = localInstance(view, service.name)
    const identity = pid !== undefined && startTime !== undefined && term === lead.term ? { pid, startTime } : null
    inBackground(
      leads
        .adopt(service, lead, identity)
        .catch(() => look().catch(() => undefined)) // not ours any more, or the store is away: a later turn decides
        .then(() => clock.after(AGAIN_MS, release)),
      'the adoption of a lead',
    )
  }
}

/** Only by a record of the held term or a later one: an older picture does not show yet what was won since. */
function letGo(view: View, leads: Leads, steps: Steps): void {
  for (const [service, { term }] of Object.entries(view.local.leases)) {
    const lead = leadOf(view, service)
    const isOurs = lead?.node === view.self && lead.term === term
    if (!isOurs && recordOf(view, service).term >= term && !steps.isBusy(service)) leads.forget(service, term)
  }
}
