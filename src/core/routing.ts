/**
 * What a balancer needs to know, as data: for each endpoint of its node, which instances may be given work. A table is
 * immutable and has a version; a balancer takes a newer one whole and never an older one. It says nothing about how
 * well an instance answers: balancers find that out on the clients' own path, faster than anyone could tell them.
 */
import { lagBytesOf } from './copies.ts'
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

/**
 * What the balancer of this node should do, from what this node knows. `before`: what it was told last, so that a standby that
 * is as far behind as it may be does not come and go.
 */
export function routesFor(view: View, before: readonly Route[] = []): Route[] {
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
      targets: targetsFor(view, service, endpoint.purpose, servingIn(before, service, endpoint)),
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
function targetsFor(
  view: View,
  service: ServiceSpec,
  purpose: Route['purpose'],
  before: ReadonlySet<NodeName> | undefined,
): Target[] {
  const role: Role = purpose === 'serving' ? 'active' : purpose
  const targets = view.cluster.nodes.flatMap((node) => {
    const instance = instanceOn(view, node.name, service.name)
    const state = instance && instance.role === role ? targetState(instance) : undefined
    if (!instance || instance.port === undefined || state === undefined || !mayServe(instance)) return []
    const id = `${service.name}@${node.name}:${instance.pid ?? instance.port}`
    const target = { id, node: node.name, host: node.address, port: instance.port, state, term: instance.term }
    return [instance.state === 'stopping' && role === 'primary' ? { ...target, leaves: true as const } : target]
  })
  if (purpose === 'standby') return targets.map((target) => drainedIfBehind(view, service, target, before))
  if (purpose !== 'primary') return targets
  const newest = Math.max(recordOf(view, service.name).term, ...targets.map(({ term }) => term))
  // A primary of an older term is fenced or about to be: nothing of it may be believed any more, also while the one of
  // the newest term has no instance that could be seen.
  // One that hands over in order still leads in the newest term: it says `stopping` when nothing new may be sent.
  return targets.map((target) => (target.term >= newest ? target : { ...target, state: 'dead' }))
}

/** Once it was left out it must be twice as close to come back in. */
const COMES_BACK_AT = 0.5

function drainedIfBehind(
  view: View,
  service: ServiceSpec,
  target: Target,
  before: ReadonlySet<NodeName> | undefined,
): Target {
  const { maxLagBytes = Number.POSITIVE_INFINITY } = service.replication ?? {}
  const wasOut = before !== undefined && !before.has(target.node)
  const lagBytes = lagBytesOf(view, target.node, service) ?? 0
  const isBehind = lagBytes > (wasOut ? maxLagBytes * COMES_BACK_AT : maxLagBytes)
  return isBehind && target.state === 'serving' ? { ...target, state: 'draining' } : target
}

/** Who was given work at an endpoint; undefined when nothing is known of before. */
function servingIn(before: readonly Route[], { name }: ServiceSpec, { purpose, port }: EndpointSpec) {
  const route = before.find((one) => one.service === name && one.purpose === purpose && one.port === port)
  return route && new Set(route.targets.filter(({ state }) => state === 'serving').map(({ node }) => node))
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
