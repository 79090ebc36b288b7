/**
 * What a balancer needs to know, as data: for each endpoint of its node, which instances may be given work. A table is
 * immutable and has a version; a balancer takes a newer one whole and never an older one. It says nothing about how
 * well an instance answers: balancers find that out on the clients' own path, faster than anyone could tell them.
 */
import { sameItems } from '../lib/same.ts'
import type { EndpointSpec, InstanceReport, NodeName, Role, ServiceName, ServiceSpec, Term } from './model.ts'
import { type ReadOnly, readOnlyOf } from './read-only.ts'
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
 * What the balancer of this node should do, from what this node knows. `before`: the last answer for the same config; it is
 * given back, the same array, when it leads to the same targets.
 */
export function routesFor(view: View, before?: readonly Route[]): readonly Route[] {
  const routes: Route[] = []
  let isNew = false
  for (const service of view.cluster.services) {
    for (const endpoint of service.endpoints) {
      const led = ledTo(view, service, endpoint.purpose)
      const known = before?.[routes.length]
      const isKnown = known?.readOnly === led.readOnly && sameItems(known.targets, led.targets)
      if (!isKnown) isNew = true
      routes.push(isKnown ? known : routeTo(view, service, endpoint, led))
    }
  }
  return isNew || !before ? routes : before
}

/** The part of a route that changes: where it leads. */
type Led = Pick<Route, 'targets' | 'readOnly'>

function ledTo(view: View, service: ServiceSpec, purpose: Route['purpose']): Led {
  const targets = targetsFor(view, service, purpose)
  const readOnly = purpose === 'primary' ? readOnlyOf(view, service) : undefined
  return { targets: readOnly ? withReader(view, service, targets, readOnly) : targets, readOnly: readOnly?.why ?? null }
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
    probe: {
      path: probePath(service),
      everyMs: service.timing.probeEveryMs,
      timeoutMs: service.timing.probeTimeoutMs,
    },
    ...led,
  }
}

/**
 * Nobody can acknowledge a write: clients are led to who answers reads. A copy gets the newest term, because it takes the
 * place of a primary and not that of an older one; the primaries that were are lost, and what hangs on them is let go.
 */
function withReader(
  view: View,
  service: ServiceSpec,
  targets: readonly Target[],
  { reads }: ReadOnly,
): readonly Target[] {
  if (reads === null) return targets
  const term = Math.max(recordOf(view, service.name).term, ...targets.map((target) => target.term))
  const reader = targetsFor(view, service, 'standby').find(({ node }) => node === reads)
  if (reader) return [...targets.map((target) => ({ ...target, state: 'dead' as const })), { ...reader, term }]
  // Its health is that of its writes: it runs, and does not hang.
  const isUp = instanceOn(view, reads, service.name)?.hung === false
  return targets.map((target) => (target.node === reads && isUp ? { ...target, state: 'serving' } : target))
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
  const targets: Target[] = []
  for (const node of view.cluster.nodes) {
    const instance = instanceOn(view, node.name, service.name)
    const state = instance && instance.role === role ? targetState(instance) : undefined
    if (!instance || instance.port === undefined || state === undefined || !mayServe(instance)) continue
    const id = `${service.name}@${node.name}:${instance.pid ?? instance.port}`
    targets.push({ id, node: node.name, host: node.address, port: instance.port, state, term: instance.term })
  }
  if (purpose !== 'primary') return targets
  const newest = Math.max(recordOf(view, service.name).term, ...targets.map(({ term }) => term))
  // A primary of an older term is fenced or about to be: nothing of it may be believed any more, also while the one of
  // the newest term has no instance that could be seen.
  // One that hands over in order still leads in the newest term: it says `stopping` when nothing new may be sent.
  return targets.map((target) => (target.term >= newest ? target : { ...target, state: 'dead' }))
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
