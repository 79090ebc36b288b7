/**
 * An instance runs here that belongs elsewhere: its node came back, or this one is drained. It ends only when every place
 * where it should run has a healthy one, so that moving never costs capacity.
 */
import { placedOn } from '../placement.ts'
import { isDrained, isHealthyOn, localInstance } from '../view.ts'
import { forEachUnreplicated } from './problem.ts'

export const instanceSurplus = forEachUnreplicated((view, service) => {
  const instance = localInstance(view, service.name)
  if (view.local.stopping || instance.state !== 'running' || instance.role === 'primary') return undefined
  const placed = placedOn(view, service)
  if (placed.includes(view.self)) return undefined
  const covered =
    placed.length > 0 && placed.every((node) => node === view.self || isHealthyOn(view, node, service.name))
  const mayGo = covered || (instance.role === 'standby' && isDrained(view, view.self))
  const reason = isDrained(view, view.self) ? `${view.self} is drained` : `it belongs on ${placed.join(', ')}`
  return {
    rule: isDrained(view, view.self) ? 'node-drained' : 'instance-surplus',
    service: service.name,
    evidence: 'inferred',
    why: `surplus instance of ${service.name} on ${view.self}: ${reason}${mayGo ? '' : ', where it is not healthy everywhere yet'}`,
    steps: mayGo ? [{ kind: 'stop', service: service.name }] : [],
  }
})
