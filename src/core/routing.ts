/**
 * What a balancer needs to know, as data: for each endpoint of its node, which instances may be given work. A table is
 * immutable and has a version; a balancer takes a newer one whole and never an older one. It says nothing about how
 * well an instance answers: balancers find that out on the clients' own path, faster than anyone could tell them.
 */
import type { EndpointSpec, NodeName, ServiceName, Term } from './model.ts'

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
  /** Grows with each change, also over restarts of the agent (it starts from the wall clock in milliseconds). */
  readonly version: number
  readonly node: NodeName
  readonly routes: readonly Route[]
}
