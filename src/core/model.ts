/**
 * The words. Everything that the rest of the program says about a cluster is said in these types, and they mean what the
 * glossary (docs/glossary.md) says. All of it is plain, frozen, printable data.
 *
 * The core never learns a product's name: a driver declares traits, and decisions are made about those.
 */
import type { EndpointLimits } from './endpoint-limits.ts'
import type { NodeName, ServiceName, Term } from './names.ts'
import type { VersionReport } from './protocol.ts'
import type { ReplicaReport, Replication } from './replicated/quorum-config.ts'
import type { SessionTally } from './replicated/session-counts.ts'
import type { ReportedProblem } from './reported-problem.ts'
import type { UpdateOptions } from './update-options.ts'

export type { NodeName, ServiceName, Term, UpdateOptions }

/** `active-active`: every instance serves. `active-passive`: one serves, the others stand by. */
export type Redundancy = 'active-active' | 'active-passive'

/** What an instance is for. `none`: nothing runs here. */
export type Role = 'none' | 'active' | 'standby' | 'primary'

/** What a driver can promise and needs; the core reasons about these and nothing else. */
export interface Traits {
  /** At most one instance may ever run as primary; a successor starts only when the old one is certainly dead. */
  readonly singleWriter: boolean
  /** Standbys hold the data, so a quorum of them can fence a primary. Then no lease is needed. */
  readonly replicates: boolean
  /** Instances report the position of their data. */
  readonly reportsPosition: boolean
  /** A former primary can be brought back without copying everything again. */
  readonly canRewind: boolean
}

export interface NodeSpec {
  readonly name: NodeName
  readonly address: string
  /** What fails together: a rack, a power feed, a data centre hall. Instances are spread over zones first. */
  readonly zone: string
  readonly region: string
}

export interface EndpointSpec {
  /** `serving`: any active instance. `primary`: the primary only. `standby`: standbys only. */
  readonly purpose: 'serving' | 'primary' | 'standby'
  readonly protocol: 'http' | 'tcp' | 'postgres'
  readonly port: number
  /** Those that differ from the defaults (core/endpoint-limits.ts). */
  readonly limits?: Partial<EndpointLimits>
}

/** How patient the cluster is with one service; defaults come from the preset (config/presets). */
export interface ServiceTiming {
  /** How long a silent primary may still be running. A successor waits at least this long. */
  readonly leaseMs: number
  /** From SIGTERM to SIGKILL. */
  readonly graceMs: number
  /** From the moment balancers are told to send nothing more until SIGTERM. */
  readonly settleMs: number
  /** How long a new instance may take to become healthy before it counts as unhealthy. */
  readonly startWithinMs: number
  /** How long an instance may be unhealthy before it is replaced. */
  readonly unhealthyForMs: number
  /** Between two health checks. */
  readonly probeEveryMs: number
  /** How long one health check may take. */
  readonly probeTimeoutMs: number
  /** How long a balancer holds a request when nothing can serve it. */
  readonly holdMs: number
}

export interface ServiceSpec {
  readonly name: ServiceName
  /** Which driver; the core only passes it on. */
  readonly kind: string
  readonly redundancy: Redundancy
  readonly instances: number
  readonly traits: Traits
  /** `warm`: standbys run and are told to take over. `cold`: they are started then. */
  readonly standby: 'warm' | 'cold'
  /** Services that must be healthy before an instance of this one is first started. */
  readonly needs: readonly ServiceName[]
  /** The only nodes this service may use; empty means all. */
  readonly nodes: readonly NodeName[]
  readonly endpoints: readonly EndpointSpec[]
  readonly timing: ServiceTiming
  /** Exactly when the trait `replicates` is true. */
  readonly replication?: Replication
  readonly objectives: { readonly rtoMs?: number; readonly rpo?: number }
  /** How it is changed while it runs. Default: core/rollout.ts. */
  readonly update?: UpdateOptions
  /** Asked for while it runs (`understudy restart`): how often. Absent: never. */
  readonly restarts?: number
  /** Asked for while it runs (`understudy stop`): it shall not run. */
  readonly stopped?: true
  /** The secrets that its options name, as far as they are set: with another version, what runs is outdated. */
  readonly secretVersions?: Readonly<Record<string, number>>
  /** The driver's own options, compiled by it, plain JSON. */
  readonly options: Readonly<Record<string, unknown>>
}

/** How patient the cluster is with its own nodes. */
export interface ClusterTiming {
  /** Between two heartbeats to each peer. */
  readonly heartbeatMs: number
  /** Silence that makes a peer suspect: the floor and the ceiling of an adaptive bound. */
  readonly suspectFloorMs: number
  readonly suspectCeilingMs: number
  /** A node condemned for this long is lost: its instances are placed elsewhere. Longer than an agent's restart. */
  readonly lostAfterMs: number
  /** How long the next candidate waits for a better one to take a free lead. */
  readonly staggerMs: number
}

/** A compiled config: every default filled in, checked, frozen, plain JSON. */
export interface ClusterSpec {
  readonly name: string
  readonly store: { readonly kind: 'embedded' | 'memory' }
  readonly apiPort: number
  readonly nodes: readonly NodeSpec[]
  readonly services: readonly ServiceSpec[]
  readonly timing: ClusterTiming
}

/** What a node's own driver sees of its instance, and what its agent tells the others. Ages, not times: clocks differ. */
export interface InstanceReport {
  readonly service: ServiceName
  readonly role: Role
  /** `stopped`: nothing runs and nothing is left of its process group. */
  readonly state: 'stopped' | 'starting' | 'running' | 'stopping'
  readonly health: 'unknown' | 'healthy' | 'unhealthy'
  /** A sentence: why it is unhealthy, or how it ended. Empty when there is nothing to say. */
  readonly note: string
  /** How long `health` has been what it is. */
  readonly healthForMs: number
  /** How long `state` has been what it is. */
  readonly stateForMs: number
  /** The process is hung beyond doubt (stopped by a signal): no use in asking it politely. */
  readonly hung: boolean
  /** The term of the present run, or of the last one when nothing runs: 0 when that led nothing. */
  readonly term: Term
  /** Ends of this instance in a row without a spell of good health between them. */
  readonly failures: number
  /** A sentence: how the one before this one ended by itself, as long as `failures` counts it. */
  readonly lastEnd?: string
  /** Until the next start is sensible: back-off after `failures`. 0 when it may start now. */
  readonly retryInMs: number
  readonly pid?: number
  /** With the pid, who exactly that is (lib/proc.ts). */
  readonly startTime?: number
  readonly port?: number
  /** It runs, and not as the config says now: a sentence. Absent: it does, or the driver cannot know. */
  readonly outdated?: Outdated
  /** Balancers should let nothing begin there for a moment. Each hold of an instance has another number. */
  readonly holding?: number
  /** What it was compared with (`targetOf` in rollout.ts). Absent: the driver did not say. */
  readonly target?: string
  /** Only from drivers whose trait `replicates` is true. */
  readonly replica?: ReplicaReport
}

/** How an instance differs from what the config says now. */
export interface Outdated {
  /** What differs: "its environment changed". */
  readonly why: string
  /** `restart`: standbys first, then a switchover. `in-place`: the primary itself must be restarted, before its standbys are. */
  readonly needs: 'restart' | 'in-place'
}

/** What one agent tells the others about its node: sent at every change, at once, and once a second. */
export interface NodeReport extends VersionReport {
  readonly node: NodeName
  /** Wall clock at which the agent started: tells a restarted agent from a silent one. */
  readonly incarnation: number
  readonly agentPid: number
  readonly balancerPid: number | null
  readonly fencePid: number | null
  /** Where its balancer listens, as `host:port`. */
  readonly openDoors?: readonly string[] | undefined
  /** Primaries of which its balancer has heard that they are about to end, as `service@node`: it sends nothing more there. */
  readonly leaving?: readonly string[]
  /** Primaries at which its balancer lets nothing begin, as `service@node#hold`. */
  readonly holding?: readonly string[]
  /** Of those: where no session of its balancer has a transaction open or a statement unanswered. */
  readonly still?: readonly string[]
  /** Of those: where besides no session of its balancer needs anything more from that primary to go on at another one. */
  readonly ready?: readonly string[]
  /** Where its balancer has logged in ahead all sessions that it could, as `service@node`. */
  readonly ahead?: readonly string[]
  /** What its balancer said of the sessions of each service at its last change of primary. */
  readonly sessions?: readonly SessionTally[]
  readonly instances: readonly InstanceReport[]
  /** The node is being stopped on purpose: give it nothing new. */
  readonly stopping: boolean
  /** The number of the config that it acts on. Absent: an earlier version of Understudy. */
  readonly config?: number | undefined
  /** As seen from there. */
  readonly problems?: readonly ReportedProblem[]
}
