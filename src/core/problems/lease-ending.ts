/**
 * The store is away and the lease runs out. A single writer whose data does not fence it must be dead when the lease
 * ends, because another node may then start one. So it is asked to end while there is still time to do so in order; the
 * fence kills it shortly before the end if it does not.
 */
import { localInstance } from '../view.ts'
import { forEachService } from './problem.ts'

/** Of the lease, what must be left for an orderly end. */
const SHARE_LEFT = 0.5

export const leaseEnding = forEachService((view, service) => {
  const lease = view.local.leases[service.name]
  const instance = localInstance(view, service.name)
  if (!lease || view.store.reachable || instance.role !== 'primary' || instance.state === 'stopped') return undefined
  if (lease.endsInMs > service.timing.leaseMs * SHARE_LEFT) return undefined
  return {
    rule: 'lease-ending',
    service: service.name,
    evidence: 'first-hand',
    why: `the store is away (${view.store.why}) and the lease of ${view.self}, which carries ${service.name}, cannot be renewed: ${service.name} stops here before another node may start it`,
    steps: [{ kind: 'stop', service: service.name }],
  }
})
