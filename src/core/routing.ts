/**
 * What a balancer needs to know, as data: for each endpoint of its node, which instances may be given work. A table is
 * immutable and has a version; a balancer takes a newer one whole and never an older one. It says nothing about how
 * well an instance answers: balancers find that out on the clients' own path, faster than anyone could tell them.
 */
import { sameItems } from '../lib/same.ts'
import type { EndpointLimits } from './endpoint-limits.ts'
import type { EndpointSpec, NodeName, ServiceName, ServiceSpec, Term } from './model.ts'
import { readOnlyOf } from './replicated/read-only.ts'
import { readersInstead, targetsFor } from './targets.ts'
import type { View } from './view.ts'

export interface Route {
  readonly service: ServiceName
  readonly protocol: EndpointSpec['protocol']
  readonly purpose: EndpointSpec['purpose']
  /** Where this balancer listens: the node's own address. */
  readonly host: string
  readonly port: number
  /** How long a request is held when no target can take it, before 503. */
  readonly holdMs: number
  /** Those that differ from the defaults. */
  readonly limits?: Partial<EndpointLimits>
  /** A health check for HTTP targets; without it an open port is all that can be checked. */
  readonly probe: { readonly path: string | null; readonly everyMs: number; readonly timeoutMs: number }
  readonly targets: readonly Target[]
  /** The addresses of all nodes, by the nodes' names: where the other doors of this endpoint are. */
  readonly peers: readonly string[]
  /** Why the targets of a primary endpoint take no writes: a sentence; null while they do, or may soon. */
  readonly readOnly: string | null
}

export interface Target {
  /** Same instance, same id: changes when the process behind it is another one, so that old verdicts die with it. */
  readonly id: string
  readonly node: NodeName
  readonly host: string
  readonly port: number
  /** `draining`: finish what is there, send nothing new. `dead`: cut what hangs on it. */
  readonly state: 'serving' | 'draining' | 'dead'
  readonly term: Term
  /** It is about to end in order, so sessions that can be moved leave it now, even if there is no other place yet. */
  readonly leaves?: true
  /** It is to lead next, when the one that leads hands over: sessions may log in there ahead. Nothing else is sent to it. */
  readonly next?: true
}

export interface RoutingTable {
  /** Grows with each change, also over restarts of the agent (it starts from the machine's monotonic clock in milliseconds). */
  readonly version: number
  readonly node: NodeName
  readonly routes: readonly Route[]
}

/** What a balancer counted on one route since it started. */
export interface RouteCounters {
  readonly service: string
  readonly purpose: string
  readonly requests: number
  readonly connections: number
  readonly retried: number
  readonly failed: number
  readonly held: number
  readonly open: number
  /** Of those that are open: upgraded connections and event streams. */
  readonly streams: number
  /** Answered with 503 because every instance had as many open requests as it may. */
  readonly full: number
}

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
    holdMs: service.timing.holdMs,
    ...(endpoint.limits === undefined ? {} : { limits: endpoint.limits }),
    probe: {
      path: probePath(service),
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

/** Drivers whose instances answer HTTP say so in their options; the core knows no product, only this one field. */
function probePath(service: ServiceSpec): string | null {
  const health = service.options.health as { http?: unknown } | null | undefined
  return typeof health?.http === 'string' ? health.http : null
}
