/**
 * PUBLIC. The SDK: a cluster from a program. It speaks to whichever agent answers, so it needs no failover of its own
 * around it; it works in Node and, as nothing here is Node's, in a browser.
 *
 *     const shop = connect({ addresses: [{ host: '127.0.0.11', port: 7400 }, { host: '127.0.0.12', port: 7400 }], token })
 *     console.log((await shop.status()).services.map((service) => `${service.name}: ${service.why}`))
 *     for await (const event of shop.follow()) console.log(event.rule, event.why)
 *
 * Every call rejects with an UnderstudyError: UND_NOT_RUNNING when no agent answers, UND_UNAUTHORIZED, UND_TIMED_OUT when
 * a change may or may not have happened, or whatever the cluster's refusal says.
 */
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
  ServiceRequest,
  SetSecretRequest,
  Status,
  SwitchoverRequest,
} from '../api/api-types.ts'
import { type Address, Nodes, type Request } from './ask-nodes.ts'
import { type FollowOptions, follow } from './follow-events.ts'

export type * from '../api/api-types.ts'
export { type ErrorCode, hasCode, UnderstudyError } from '../errors.ts'
export type { Address, FollowOptions }

export interface ConnectOptions {
  /** The API of every node, or of some: one that lives is enough. Asked in turn. */
  readonly addresses: readonly Address[]
  /** The cluster's token; `up` keeps it in the file `token` of the state folder. */
  readonly token: string
  /** How long one node may take to answer before the next one is asked, in milliseconds. Default 1000. */
  readonly timeoutMs?: number
}

export interface Client {
  /** The whole cluster, as the agent that answers knows it. */
  status(): Promise<Status>
  /** Rejects with UND_UNKNOWN_SERVICE. */
  why(service: string): Promise<Explanation>
  /** What is kept of what happened, oldest first; with `last`, the newest so many. */
  events(options?: { readonly last?: number }): Promise<readonly EventRecord[]>
  /** What happens, as it happens, over the death of any node. Ends when `signal` is aborted. */
  follow(options?: FollowOptions): AsyncGenerator<EventRecord, void, void>
  receipts(): Promise<readonly Receipt[]>
  /** Resolves when it is written down, not when it is done: events and receipts tell that. Rejects with UND_REFUSED. */
  switchover(request: SwitchoverRequest): Promise<Accepted>
  /** Asks for another number of instances, while it runs. Said twice it is the same. */
  resize(request: ResizeRequest): Promise<Accepted>
  /** Rejects with UND_UNKNOWN_NODE. */
  drain(node: string): Promise<Accepted>
  undrain(node: string): Promise<Accepted>
  /** Stops every service and every agent. */
  stopCluster(): Promise<Accepted>
  /** The config that holds, or one of the last twenty. Rejects with UND_UNKNOWN_CONFIG. */
  config(number?: number): Promise<ConfigContent>
  /** The last twenty configs, newest first. */
  configHistory(): Promise<readonly ConfigEntry[]>
  /**
   * Replaces the config whose number is `expect`. Resolves when it is written down; the status tells how far it is. Rejects with
   * UND_CONFLICT when another one holds by now, UND_TOO_OLD, and UND_REFUSED with every reason, a line each.
   */
  apply(request: ApplyRequest): Promise<ConfigAccepted>
  /** Applies an earlier config again, as a new one. Rejects as `apply`, and with UND_UNKNOWN_CONFIG. */
  rollback(request: RollbackRequest): Promise<ConfigAccepted>
  /** Goes back to the config before, while the last change is under way or stopped. Rejects with UND_REFUSED otherwise. */
  abort(request?: AbortRequest): Promise<ConfigAccepted>
  /** Replaces every instance of a service in turns. */
  restart(service: string, request?: ServiceRequest): Promise<Accepted>
  /** Ends a service on every node; it stays stopped, over failures and reboots, until it is started. */
  stop(service: string, request?: ServiceRequest): Promise<Accepted>
  start(service: string, request?: ServiceRequest): Promise<Accepted>
  /** The secrets that are set, without their values, which no call answers. */
  secrets(): Promise<readonly SecretEntry[]>
  /**
   * Gives a secret a value. Services that use it are restarted in turns, unless it had this value already. Rejects with
   * UND_BAD_REQUEST when name or value cannot be used.
   */
  setSecret(name: string, request: SetSecretRequest): Promise<SecretAccepted>
  /** Rejects with UND_UNKNOWN_SECRET, and with UND_REFUSED while the config uses it. */
  removeSecret(name: string, request?: RemoveSecretRequest): Promise<Accepted>
}

/** A change goes through the store before it is answered. */
const CHANGE_WITHIN_MS = 5_000

export function connect(options: ConnectOptions): Client {
  const nodes = new Nodes(options.addresses, options.token)
  const timeoutMs = options.timeoutMs ?? 1_000

  const read = <T>(path: string) => ask<T>(nodes, { method: 'GET', path, timeoutMs, repeatable: true })
  const change = <T = Accepted>(path: string, body: unknown, repeatable: boolean) =>
    ask<T>(nodes, { method: 'POST', path, body, timeoutMs: Math.max(timeoutMs, CHANGE_WITHIN_MS), repeatable })

  return {
    status: () => read('/v1/status'),
    why: (service) => read(`/v1/why/${encodeURIComponent(service)}`),
    events: ({ last } = {}) => read(`/v1/events${last === undefined ? '' : `?last=${last}`}`),
    follow: (following = {}) => follow(nodes, following),
    receipts: () => read('/v1/receipts'),
    // Not repeatable: said twice without “to”, it could move the primary there and back again.
    switchover: (request) => change('/v1/switchover', request, false),
    resize: (request) => change('/v1/resize', request, true),
    drain: (node) => change(`/v1/nodes/${encodeURIComponent(node)}/drain`, undefined, true),
    undrain: (node) => change(`/v1/nodes/${encodeURIComponent(node)}/undrain`, undefined, true),
    stopCluster: () => change('/v1/stop', undefined, true),
    config: (number) => read(`/v1/config${number === undefined ? '' : `/${number}`}`),
    configHistory: () => read('/v1/config/history'),
    // Not repeatable: what was written once is refused as a conflict when it is said again.
    apply: (request) => change<ConfigAccepted>('/v1/config/apply', request, false),
    rollback: (request) => change<ConfigAccepted>('/v1/config/rollback', request, false),
    abort: (request = {}) => change<ConfigAccepted>('/v1/config/abort', request, false),
    restart: (service, request = {}) => change(`/v1/services/${encodeURIComponent(service)}/restart`, request, false),
    stop: (service, request = {}) => change(`/v1/services/${encodeURIComponent(service)}/stop`, request, true),
    start: (service, request = {}) => change(`/v1/services/${encodeURIComponent(service)}/start`, request, true),
    secrets: () => read('/v1/secrets'),
    // Repeatable: the same value once more is no new version.
    setSecret: (name, request) => change<SecretAccepted>(`/v1/secrets/${encodeURIComponent(name)}`, request, true),
    removeSecret: (name, request = {}) => change(`/v1/secrets/${encodeURIComponent(name)}/remove`, request, false),
  }
}

async function ask<T>(nodes: Nodes, request: Request): Promise<T> {
  const response = await nodes.ask(request)
  return (await response.json()) as T
}
