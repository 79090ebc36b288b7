/** What an agent offers to its API server: the server translates HTTP, the agent knows and does. */
import type { RouteCounters } from '../core/routing-table.ts'
import type { Stop } from '../lib/stop.ts'
import type {
  AbortRequest,
  Accepted,
  ApplyRequest,
  ConfigAccepted,
  ConfigContent,
  ConfigEntry,
  EventRecord,
  Explanation,
  Receipt,
  RemoveSecretRequest,
  ResizeRequest,
  RollbackRequest,
  SecretAccepted,
  SecretEntry,
  SetSecretRequest,
  Status,
  SwitchoverRequest,
} from './api-types.ts'

export interface Surface {
  /** Has it looked at the cluster yet? Before that nothing that it could say is true. */
  readonly ready: boolean
  status(): Status
  /** Rejects with UND_UNKNOWN_SERVICE. */
  why(service: string): Promise<Explanation>
  /** Oldest first; the last thousand or so, of the whole cluster as far as this node heard. */
  events(): readonly EventRecord[]
  onEvent(listener: (event: EventRecord) => void): Stop
  receipts(): readonly Receipt[]
  gauges(): Gauges
  /** Rejects with UND_REFUSED (and the reason), UND_UNKNOWN_SERVICE, UND_UNKNOWN_NODE, UND_STORE_*. */
  switchover(request: SwitchoverRequest): Promise<Accepted>
  resize(request: ResizeRequest): Promise<Accepted>
  drain(node: string, drained: boolean): Promise<Accepted>
  /** Stops every service and every node of the cluster; who is asked stops last of its own node. */
  stopCluster(): Promise<Accepted>
  readonly configs: ConfigSurface
  readonly secrets: SecretSurface
}

/** Values go in and never come out. */
export interface SecretSurface {
  list(): Promise<readonly SecretEntry[]>
  /** Rejects with UND_BAD_REQUEST, UND_REFUSED, UND_STATE_UNREADABLE, UND_STORE_*. */
  set(name: string, request: SetSecretRequest): Promise<SecretAccepted>
  /** Rejects with UND_UNKNOWN_SECRET, and with UND_REFUSED while the config uses it. */
  remove(name: string, request: RemoveSecretRequest): Promise<Accepted>
}

/** The config of the cluster, and what operators ask for besides it. */
export interface ConfigSurface {
  /** Without a number: the one that holds. Rejects with UND_UNKNOWN_CONFIG. */
  read(number?: number): Promise<ConfigContent>
  /** Newest first; the last twenty. */
  history(): Promise<readonly ConfigEntry[]>
  /** Rejects with UND_CONFLICT, UND_TOO_OLD, UND_REFUSED (and every reason), UND_BAD_REQUEST, UND_STORE_*. */
  apply(request: ApplyRequest): Promise<ConfigAccepted>
  rollback(request: RollbackRequest): Promise<ConfigAccepted>
  /** Goes back to the config before, while the last change is under way or stopped. */
  abort(request: AbortRequest): Promise<ConfigAccepted>
  /** Rejects with UND_UNKNOWN_SERVICE, UND_STORE_*. */
  restart(service: string): Promise<Accepted>
  setStopped(service: string, stopped: boolean, by: string): Promise<Accepted>
}

/** What `/metrics` exposes besides what it derives from status: plain numbers by name and labels. */
export interface Gauges {
  readonly loopLagMs: number
  readonly turns: number
  readonly stepsDone: number
  readonly stepsFailed: number
  readonly storeAgeMs: number
  readonly rssBytes: number
  /** Of this node's balancer, as it last said; empty when it is away. */
  readonly balancer: readonly RouteCounters[]
}
