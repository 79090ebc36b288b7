/**
 * The one road in, as types. The CLI, the SDK, drills and a dashboard know the cluster through these shapes and no
 * other; nothing here needs Node, so a browser can import it. `Status` is a contract with users: fields are added,
 * never renamed or removed.
 */
import type { ConfigStatus, RolloutStatus } from './config-types.ts'

export type * from './config-types.ts'
export type * from './secret-types.ts'

export interface Status {
  readonly cluster: string
  /** Who answered, and when (ISO 8601). What it says of other nodes is what it heard from them. */
  readonly answeredBy: string
  readonly at: string
  readonly store: { readonly kind: string; readonly writable: boolean; readonly why: string }
  /** The newest that every node is known to speak. Absent: the agent that answered is of a version before there was one. */
  readonly protocol?: number
  readonly nodes: readonly NodeStatus[]
  readonly services: readonly ServiceStatus[]
  /** Absent in the answer of an agent of an earlier version. */
  readonly config?: ConfigStatus
}

export interface NodeStatus {
  readonly name: string
  readonly address: string
  readonly zone: string
  readonly region: string
  readonly alive: boolean
  /** `alive`, `suspect` (silent for some heartbeats), `lost` (a majority agrees, for long enough) or `unknown` (not heard yet). */
  readonly state: 'alive' | 'suspect' | 'lost' | 'unknown'
  readonly drained: boolean
  /** The config does not name it any more: it hands over what it has and ends. */
  readonly leaving?: true
  readonly agentPid: number | null
  readonly balancerPid: number | null
  readonly fencePid: number | null
  /** Of the agent, the balancer and the fence: `earlier` where one does not say it, null where it has not been heard. */
  readonly version?: string | null
  readonly balancerVersion?: string | null
  readonly fenceVersion?: string | null
  /** What the agent speaks with others; 0 for versions before there was a protocol. */
  readonly protocol?: number | null
}

export interface ServiceStatus {
  readonly name: string
  readonly kind: string
  readonly redundancy: 'active-active' | 'active-passive'
  readonly term: number
  readonly primary: string | null
  readonly healthy: boolean
  /** One sentence that an operator understands: what is so, and since which rule when something is being done. */
  readonly why: string
  /** Why no write can be acknowledged while reads go on, and what to do; null when that is not so. */
  readonly readOnly: string | null
  /** How many instances are wanted: the config's number, or what was asked for since. */
  readonly wanted: number
  /**
   * Of a database with a primary: `k` of `standbys` must have each write, and `wanted` of them when all that are wanted
   * are there. Null otherwise.
   */
  readonly quorum: { readonly k: number; readonly standbys: readonly string[]; readonly wanted: number } | null
  /** The rule of the last thing that was done about this service; empty when nothing ever was. */
  readonly rule: string
  readonly instances: readonly InstanceStatus[]
  readonly endpoints: readonly EndpointStatus[]
  /** Whether all that the config asks for is there, and what one more loss would do. */
  readonly redundancyState: RedundancyState
  /** Only of services whose standbys hold the data: how long it would be unavailable if it failed now. */
  readonly expectedRto?: ExpectedRto
  /** Only while instances do not run as the config says. */
  readonly rollout?: RolloutStatus
  /** How often a restart was asked for while it ran. Absent: never. */
  readonly restarts?: number
  /** Only of a service that an operator stopped: since when (ISO 8601), and by whom. */
  readonly stopped?: { readonly at: string; readonly by: string }
}

/** Healthy says that clients are served now; this says whether they still are after one more loss. */
export interface RedundancyState {
  /**
   * `redundant`: all that the config asks for is there, and any one node of it may fail. `not-redundant`: all is there, but
   * the config asks for too little: one loss stops writes or the service. `degraded`: clients are served, and something that
   * the config asks for is missing. `unhealthy`: clients are not served, or no write can be acknowledged.
   */
  readonly state: 'redundant' | 'not-redundant' | 'degraded' | 'unhealthy'
  /** How many instances are wanted, cold standbys included: a node that can start one at once counts. */
  readonly wanted: number
  /** How many of them are there, on nodes that are heard. */
  readonly there: number
  /** The worst that the loss of one more instance or node would do; null while the service is unhealthy. */
  readonly oneMoreLoss: 'nothing' | 'stops-writes' | 'stops-service' | null
  readonly missing: readonly {
    /** `store`: no failover is possible without it. */
    readonly what: 'replica' | 'instance' | 'endpoint' | 'store'
    /** Null: no node is left for it, or it belongs to none. */
    readonly node: string | null
    /** The reason, as the node concerned reports it. */
    readonly why: string
  }[]
  /** A few words: `2 of 3 replicas, one more loss stops writes`. */
  readonly summary: string
}

/** An estimate from what is known now: how far the best standby is, and how long silence has to last. */
export interface ExpectedRto {
  /** From the death of the primary's process; null when no standby could take over. */
  readonly ifPrimaryDiesMs: number | null
  /** From the moment that its node falls silent. */
  readonly ifNodeIsLostMs: number | null
  /** The evidence, or why no node could take over. */
  readonly why: string
}

export interface InstanceStatus {
  readonly node: string
  readonly role: 'active' | 'primary' | 'standby' | 'none'
  readonly state: 'stopped' | 'starting' | 'running' | 'stopping' | 'unknown'
  readonly healthy: boolean
  readonly note: string
  readonly pid: number | null
  readonly port: number | null
  readonly failures: number
  readonly retryInMs: number
  /** Only of an instance that does not run as the config says: what differs. */
  readonly outdated?: string
  /** Only of a standby: how much of the primary's WAL it has not received or not replayed yet, in bytes. */
  readonly lagBytes?: number
}

export interface EndpointStatus {
  readonly node: string
  readonly purpose: 'serving' | 'primary' | 'standby'
  readonly protocol: 'http' | 'tcp' | 'postgres'
  readonly host: string
  readonly port: number
  /** The balancer of that node listens there, as far as it is known. */
  readonly open: boolean
}

/** Something that was noticed, decided or done. `id` is `<node>-<run>-<number>`: unique, and in order for each run of an agent. */
export interface EventRecord {
  readonly id: string
  readonly at: string
  readonly node: string
  readonly service: string | null
  /** The problem's rule, as in docs/rules.md; `agent` for what an agent says of itself. */
  readonly rule: string
  readonly kind: 'noticed' | 'done' | 'failed' | 'ended' | 'told'
  readonly why: string
  /**
   * This event stands for so many that were not told one by one, because the same, or too many of the same rule, service and
   * kind, came shortly before; `why` is that of the newest. Absent: it stands for itself.
   */
  readonly repeated?: number
}

/** What one failover, switchover or repair did, millisecond by millisecond. */
export interface Receipt {
  readonly id: string
  readonly service: string
  readonly kind: 'failover' | 'switchover' | 'repair'
  readonly rule: string
  readonly why: string
  /** Who noticed the fault (or was asked), and where the service is since. */
  readonly from: string | null
  readonly to: string
  readonly term: number
  /** When it was noticed (ISO 8601); marks count in milliseconds from there. */
  readonly noticedAt: string
  readonly marks: readonly { readonly name: string; readonly atMs: number }[]
  /** From noticed to healthy again. */
  readonly backAfterMs: number
  /** The other candidates, as known when one was chosen, and why they were not. */
  readonly candidates?: readonly { readonly node: string; readonly able: boolean; readonly why: string }[]
  /** What became of the clients' sessions, where the balancers speak the service's own protocol. */
  readonly sessions?: SessionsSummary
}

/** Over the balancers of all nodes that reported in time. */
export interface SessionsSummary {
  /** Waited for the new primary, for however short a time. */
  readonly held: number
  /** Went on there without an error. */
  readonly moved: number
  /** How many were cut, by reason: `in-transaction`, `in-statement`, `temporary-table`, `md5-login` and others. */
  readonly cut: Readonly<Record<string, number>>
  readonly longestHoldMs: number
  /** Nodes whose balancers had not reported two seconds after the service was back: theirs are not counted here. */
  readonly unheard: readonly string[]
}

export interface Explanation {
  readonly service: string
  readonly now: string
  readonly problems: readonly {
    readonly rule: string
    readonly evidence: string
    readonly why: string
    readonly node: string
  }[]
  readonly candidates: readonly { readonly node: string; readonly able: boolean; readonly why: string }[]
  readonly recent: readonly EventRecord[]
}

export interface SwitchoverRequest {
  readonly service: string
  readonly to?: string
}

export interface ResizeRequest {
  readonly service: string
  readonly instances: number
  /** For two replicas of a database: what happens when one is lost. */
  readonly degrade?: 'block' | 'run-alone'
}

/** Accepted means written down: the cluster will do it, or say in events why it called it off. */
export interface Accepted {
  readonly id: string
  readonly what: string
}

/** Every refused call: `error.code` is one of errors.ts. */
export interface Refusal {
  readonly error: { readonly code: string; readonly message: string }
}
