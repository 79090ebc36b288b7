/**
 * What an agent needs from the outside, as ports. The real agent gets sockets, files and processes (agent/main.ts); the
 * simulator gets a made-up world with the same shapes. Nothing between here and the core knows the difference.
 */
import type { EventRecord, Receipt } from '../api/api-types.ts'
import type { NodeName, NodeReport, NodeSpec, ServiceName, Term } from '../core/model.ts'
import type { VersionReport } from '../core/protocol.ts'
import type { ConfigRecord } from '../core/records.ts'
import type { SessionTally } from '../core/replicated/session-counts.ts'
import type { RoutingTable } from '../core/routing-table.ts'
import type { Clock } from '../lib/clock.ts'
import type { ProcessIdentity } from '../lib/proc.ts'
import type { Stop } from '../lib/stop.ts'
import type { Store } from '../stores/store.ts'
import type { Drivers } from './driver-set.ts'

export interface World {
  readonly clock: Clock
  readonly store: Store
  readonly mesh: Mesh
  readonly drivers: Drivers
  readonly fence: FencePort
  readonly balancer: BalancerPort
  /**
   * Where all nodes share a machine: resolves when no other node runs a primary of this service, and kills it for that.
   * Rejects when this one must not start. Undefined where a node cannot see the processes of others.
   */
  endFormer?(service: ServiceName, term: Term): Promise<void>
  /** Another config holds from now on: keeps it on this node's disk, and fits to it what is not the agent's own. */
  keepConfig(record: ConfigRecord): void
  /** Keeps what must survive the agent; called in order. */
  remember(what: 'events', record: EventRecord): void
  remember(what: 'receipts', record: Receipt): void
  pids(): { readonly agent: number; readonly balancer: number | null; readonly fence: number | null }
  /** Of this node's processes. Absent: not told. */
  versions?(): VersionReport
}

/** Kills a process at a moment, unless told a later one in time. It has its own timer and asks no other process. */
export interface FencePort {
  /** Resolves when the fence has taken it down; rejects when it did not say so in time. */
  arm(service: ServiceName, identity: ProcessIdentity, killAt: number): Promise<void>
  disarm(service: ServiceName, identity: ProcessIdentity): Promise<void>
}

/** The balancer of this node. */
export interface BalancerPort {
  /** Where it listens now, as `host:port`: empty for one that does not answer. Undefined: there is no balancer to ask. */
  readonly open: readonly string[] | undefined
  /** What it said last of each service whose primary changed. */
  readonly sessions: readonly SessionTally[]
  /** Primaries that are about to end, as the table that it uses says: `service@node`. */
  readonly leaving: readonly string[]
  /** Primaries at which nothing may begin, as the table that it uses says: `service@node#hold`. */
  readonly holding: readonly string[]
  /** Of those: where no session of it has a transaction open or a statement unanswered. */
  readonly still: readonly string[]
  /** Of those: where besides no session of it needs anything more from that primary. */
  readonly ready: readonly string[]
  /** Where all sessions that can be moved have logged in ahead: `service@node`. */
  readonly ahead: readonly string[]
  /** Does the table that it uses lead clients to the primary of this term? */
  leadsTo(service: ServiceName, term: Term): boolean
  publish(table: RoutingTable): void
}

/** Carries messages to every other agent, or does not: nothing here is acknowledged, everything is said again. */
export interface Mesh {
  /** From now on these are the other agents. */
  meet(peers: readonly NodeSpec[]): void
  broadcast(message: Message): void
  onMessage(listener: (from: NodeName, message: Message) => void): Stop
  /** Called when a link to a peer comes up: what was said before was not heard there. */
  onLink(listener: (peer: NodeName) => void): Stop
}

export type Message =
  /**
   * Sent every heartbeat. `suspects`: the peers that the sender calls silent. `abstains`: it was late itself and judges
   * no peer.
   */
  | { readonly kind: 'beat'; readonly suspects: readonly NodeName[]; readonly abstains: boolean }
  | { readonly kind: 'report'; readonly report: NodeReport }
  /** The store has something new: read it now instead of at the next poll. */
  | { readonly kind: 'look' }
  | { readonly kind: 'event'; readonly event: EventRecord }
  | { readonly kind: 'receipt'; readonly receipt: Receipt }
  /** For a new peer: what was told before, so that a restarted agent knows the past. */
  | { readonly kind: 'history'; readonly events: readonly EventRecord[]; readonly receipts: readonly Receipt[] }
