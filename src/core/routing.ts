/**
 * What a balancer needs to know, as data: for each endpoint of its node, which instances may be given work. A table is
 * immutable and has a version; a balancer takes a newer one whole and never an older one. It says nothing about how
 * well an instance answers: balancers find that out on the clients' own path, faster than anyone could tell them.
 */
import type { EndpointSpec, InstanceReport, NodeName, Role, ServiceName, ServiceSpec, Term } from './model.ts'
import { instanceOn, recordOf, type View } from './view.ts'

export interface Route {
  readonly service: ServiceName
  readonly protocol: EndpointSpec['protocol']
  readonly purpose: EndpointSpec['purpose']
  /** Where this balancer listens: the node's own address. */
  readonly host: string
  readonly port: number
  /** How long a request is held when no target can take it, before 503. */
  readonly holdMs: number
  /** A health check for HTTP targets; without it an open port is all that can be checked. */
  readonly probe: { readonly path: string | null; readonly everyMs: number; readonly timeoutMs: number }
  readonly targets: readonly Target[]
  /** The addresses of all nodes, by the nodes' names: where the other doors of this endpoint are. */
  readonly peers: readonly string[]
  /**
   * Of a route to the primary: why nothing can be written at the moment, as a sentence for clients. The targets are standbys
   * then, and answer reads. Null: they are what the route's purpose says.
   */
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
  /** It is about to end in order, so sessions that can be moved leave it now, even if there is no other place yet. */
  readonly leaves?: true
  readonly term: Term
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
}

/** What the balancer of this node should do, from what this node knows. */
export function routesFor(view: View): Route[] {
  const own = view.cluster.nodes.find(({ name }) => name === view.self)
  return view.cluster.services.flatMap((service) =>
    service.endpoints.map((endpoint) => ({
      service: service.name,
      protocol: endpoint.protocol,
      purpose: endpoint.purpose,
      host: own?.address ?? '127.0.0.1',
      port: endpoint.port,
      holdMs: service.timing.holdMs,
      probe: {
        path: probePath(service),
        everyMs: service.timing.probeEveryMs,
        timeoutMs: service.timing.probeTimeoutMs,
      },
      targets: targetsFor(view, service, endpoint.purpose),
      peers: peersOf(view),
      readOnly: null,
    })),
  )
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

/**
 * The agent of a silent node may be dead while its instances serve on, so what it reported last stays in the table;
 * whether it still answers is for the balancer to find out.
 */
function targetsFor(view: View, service: ServiceSpec, purpose: Route['purpose']): Target[] {
  const role: Role = purpose === 'serving' ? 'active' : purpose
  const targets = view.cluster.nodes.flatMap((node) => {
    const instance = instanceOn(view, node.name, service.name)
    const state = instance && instance.role === role ? targetState(instance) : undefined
    if (!instance || instance.port === undefined || state === undefined || !mayServe(instance)) return []
    const id = `${service.name}@${node.name}:${instance.pid ?? instance.port}`
    return [{ id, node: node.name, host: node.address, port: instance.port, state, term: instance.term }]
  })
  if (purpose !== 'primary') return targets
  const newest = Math.max(recordOf(view, service.name).term, ...targets.map(({ term }) => term))
  // A primary of an older term is fenced or about to be: nothing of it may be believed any more, also while the one of
  // the newest term has no instance that could be seen.
  // One that hands over in order is let finish: nothing new is sent, and what comes is held.
  const isHandedOver = recordOf(view, service.name).replica?.phase === 'handing-over'
  return targets.map((target) =>
    target.term >= newest
      ? target
      : isHandedOver && target.term === newest - 1
        ? { ...target, state: 'draining', leaves: true }
        : { ...target, state: 'dead' },
  )
}

/** A primary whose rule is not durable lets nobody in; a copy that is behind or has gone astray answers no reads. */
function mayServe({ role, replica }: InstanceReport): boolean {
  if (!replica) return true
  return role === 'primary' ? replica.ruleDurable : !replica.quarantined && !replica.diverged
}

function targetState(instance: InstanceReport): Target['state'] | undefined {
  if (instance.state === 'stopped') return undefined
  if (instance.state === 'stopping' || instance.health === 'unhealthy') return 'draining'
  return instance.health === 'healthy' ? 'serving' : undefined
}
