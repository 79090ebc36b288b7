/**
 * Which service waits for which. A need matters when a service is brought up: while none of its instances is healthy,
 * the first waits until what it needs is healthy. An instance that fails later is restarted at once, whatever state its
 * needs are in: removing redundancy because another service is unhealthy would turn one fault into two.
 */
import type { ServiceSpec } from './model.ts'
import { instanceOn, isHealthyOn, type View } from './view.ts'

export function needsMet(view: View, service: ServiceSpec): boolean {
  return isUp(view, service.name) || service.needs.every((need) => isUp(view, need))
}

export function unmetNeeds(view: View, service: ServiceSpec): string[] {
  return isUp(view, service.name) ? [] : service.needs.filter((need) => !isUp(view, need))
}

function isUp(view: View, service: string): boolean {
  return view.cluster.nodes.some(({ name }) => {
    const instance = instanceOn(view, name, service)
    return isHealthyOn(view, name, service) && instance?.role !== 'standby'
  })
}
