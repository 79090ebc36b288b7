/**
 * An instance runs but does not do its work: unhealthy for too long, never healthy since it was started, or hung. It is
 * ended, and what follows is what follows any other end: a restart with back-off, or for a primary the next in line. A
 * hung process is killed, because it cannot hear a polite request.
 */
import { formatDuration } from '../../lib/duration.ts'
import type { InstanceReport, ServiceSpec } from '../model.ts'
import { localInstance } from '../view.ts'
import { forEachUnreplicated } from './problem.ts'

/** How long a process that was stopped by a signal is given to go on: a debugger may be attached. */
const HUNG_FOR_MS = 0

export const instanceUnhealthy = forEachUnreplicated((view, service) => {
  const instance = localInstance(view, service.name)
  if (instance.state !== 'running' && instance.state !== 'starting') return undefined
  const why = whyUnwell(instance, service)
  if (why === undefined) return undefined
  return {
    rule: instance.role === 'primary' ? 'primary-unhealthy' : 'instance-unhealthy',
    service: service.name,
    evidence: 'first-hand',
    why: `${service.name} on ${view.self} ${why}`,
    steps: [{ kind: 'kill', service: service.name }],
  }
})

function whyUnwell(instance: InstanceReport, { timing }: ServiceSpec): string | undefined {
  if (instance.hung && instance.healthForMs >= HUNG_FOR_MS) return `hangs: ${instance.note}`
  if (instance.health === 'unhealthy' && instance.healthForMs >= timing.unhealthyForMs) {
    return `has been unhealthy for more than ${formatDuration(timing.unhealthyForMs)}: ${instance.note}`
  }
  if (instance.health === 'unknown' && instance.stateForMs >= timing.startWithinMs) {
    return `did not become healthy within ${formatDuration(timing.startWithinMs)}: ${instance.note || 'no check has come back'}`
  }
  return undefined
}
