/** Makes the routes of a node's balancer (routing-table.ts) from what the node knows. */
import type { HttpQuestion } from '../lib/http-question.ts'
import { sameItems } from '../lib/same.ts'
import type { EndpointSpec, ServiceSpec } from './model.ts'
import { readOnlyOf } from './replicated/read-only.ts'
import type { Route } from './routing-table.ts'
import { readersInstead, targetsFor } from './targets.ts'
import type { View } from './view.ts'

/**
 * What the balancer of this node should do, from what this node knows. `before`: the last answer for the same config. It is
 * given back, the same array, when it leads to the same targets; and a standby that is as far behind as it may be does not
 * come and go.
 */
export function routesFor(view: View, before?: readonly Route[]): readonly Route[] {
  const routes: Route[] = []
  let isNew = false
  for (const service of view.cluster.services) {
    for (const endpoint of service.endpoints) {
      const known = before?.[routes.length]
      const led = ledTo(view, service, endpoint.purpose, known?.targets)
      const isKnown = known?.readOnly === led.readOnly && sameItems(known.targets, led.targets)
      if (!isKnown) isNew = true
      routes.push(isKnown ? known : routeTo(view, service, endpoint, led))
    }
  }
  return isNew || !before ? routes : before
}

/** The part of a route that changes: where it leads. */
type Led = Pick<Route, 'targets' | 'readOnly'>

function ledTo(view: View, service: ServiceSpec, purpose: Route['purpose'], before: Route['targets'] | undefined): Led {
  const targets = targetsFor(view, service, purpose, before)
  const readOnly = purpose === 'primary' ? readOnlyOf(view, service) : undefined
  if (!readOnly) return { targets, readOnly: null }
  return { targets: readersInstead(view, service, targets, readOnly), readOnly: readOnly.why }
}

function routeTo(view: View, service: ServiceSpec, endpoint: EndpointSpec, led: Led): Route {
  const own = view.cluster.nodes.find(({ name }) => name === view.self)
  return {
    service: service.name,
    protocol: endpoint.protocol,
    purpose: endpoint.purpose,
    host: own?.address ?? '127.0.0.1',
    port: endpoint.port,
    holdMs: service.stopped ? 0 : service.timing.holdMs, // nothing that could be waited for comes until an operator starts it
    ...(endpoint.limits === undefined ? {} : { limits: endpoint.limits }),
    probe: {
      ...questionOf(service),
      everyMs: service.timing.probeEveryMs,
      timeoutMs: service.timing.probeTimeoutMs,
    },
    peers: peersOf(view),
    ...led,
  }
}

function peersOf(view: View): string[] {
  const byName = view.cluster.nodes.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  return byName.map(({ address }) => address)
}

/** Drivers whose instances answer HTTP say so in their options, checked by the config; the core knows only these two fields. */
function questionOf(service: ServiceSpec): Omit<Route['probe'], 'everyMs' | 'timeoutMs'> {
  const health = service.options.health as { http?: unknown; asks?: Omit<HttpQuestion, 'path'> } | null | undefined
  return typeof health?.http === 'string' ? { ...health.asks, path: health.http } : { path: null }
}
