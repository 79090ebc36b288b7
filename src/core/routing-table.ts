/**
 * What a balancer needs to know, as data: for each endpoint of its node, which instances may be given work. A table is
 * immutable and has a version; a balancer takes a newer one whole and never an older one. It says nothing about how
 * healthy an instance is: balancers find that out on the clients' own path, faster than any agent could tell them.
 */
import type { HttpQuestion } from '../lib/http-question.ts'
import type { EndpointLimits } from './endpoint-limits.ts'
import type { EndpointSpec, NodeName, ServiceName, Term } from './model.ts'

export interface Route {
  readonly service: ServiceName
  readonly protocol: EndpointSpec['protocol']
  readonly purpose: EndpointSpec['purpose']
  /** Where this balancer listens: the node's own address. */
  readonly host: string
  readonly port: number
  /** How long a request is held when no target can take it, before 503. 0: it is refused at once. */
  readonly holdMs: number
  /** Those that differ from the defaults. */
  readonly limits?: Partial<EndpointLimits>
  readonly probe: Probe
  readonly targets: readonly Target[]
  /** The addresses of all nodes by name: where the other balancers of this endpoint are. */
  readonly peers: readonly string[]
  /** Why the targets of a primary endpoint take no writes: a sentence; null while they do, or may soon. */
  readonly readOnly: string | null
}

/** How targets are asked. */
export interface Probe extends Omit<HttpQuestion, 'path'> {
  /** Null: an open port is all that can be checked. */
  readonly path: string | null
  readonly everyMs: number
  readonly timeoutMs: number
}

export interface Target {
  /** Same instance, same id: changes when the process behind it is another one, so that old verdicts die with it. */
  readonly id: string
  readonly node: NodeName
  readonly host: string
  readonly port: number
  /** `draining`: finish what is there, send nothing new. `dead`: close its connections. */
  readonly state: 'serving' | 'draining' | 'dead'
  readonly term: Term
  /** It is about to end in order, so sessions that can be moved leave it now, even if there is no other place yet. */
  readonly leaves?: true
  /**
   * Nothing should begin there for a moment: clients that are between two transactions are held, and their sessions stay
   * logged in. The number of this hold: another one each time.
   */
  readonly holds?: number
  /** The requested successor of the primary: sessions may log in there ahead. Nothing else is sent to it. */
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
