/**
 * The balancers before this one that still have connections: they hear every table and every secret, so that their sessions move in a
 * change of primary as those of this one do. An agent is told that a table is in use when they use it, too, and counts what
 * passes through them as part of this balancer. No clock and no sockets: `now` and `send` are arguments.
 */
import type { ServiceName } from '../core/model.ts'
import type { CutReason, SessionTally } from '../core/replicated/session-counts.ts'
import type { RouteCounters } from '../core/routing-table.ts'
import { isUndecoded } from '../lib/not-understood.ts'
import { areNumbers, fieldsOf } from '../lib/shapes.ts'
import { decodeFromBalancer, type FromBalancer } from './balancer-messages.ts'
import type { ToBalancer } from './control-protocol.ts'

/** A predecessor that hangs keeps an agent from nothing for longer than this. */
export const APPLIED_WITHIN_MS = 1_000

/** What a predecessor says besides what every balancer says of sessions. */
export type FromPredecessor =
  /** First after connecting. */
  | { readonly type: 'predecessor'; readonly pid: number }
  /** It uses the table of this version. */
  | { readonly type: 'applied'; readonly version: number }

/** What a balancer says of places. */
export type Places = 'ahead' | 'still' | 'ready'

interface Predecessor {
  readonly send: (message: ToBalancer) => void
  applied: number
  counters: readonly RouteCounters[]
  readonly places: Record<Places, readonly string[]>
  readonly tallies: Map<ServiceName, SessionTally>
}

export class Predecessors {
  readonly #all = new Map<object, Predecessor>()
  /** Of those that ended. */
  #past: readonly RouteCounters[] = []

  get size(): number {
    return this.#all.size
  }

  /** `key`: its connection. */
  join(key: object, send: (message: ToBalancer) => void): void {
    const places = { ahead: [], still: [], ready: [] }
    this.#all.set(key, { send, applied: 0, counters: [], places, tallies: new Map() })
  }

  /** What it said, so far as it is of use here; undefined for what is no predecessor. */
  says(key: object, said: unknown): FromPredecessor | FromBalancer | null | undefined {
    const one = this.#all.get(key)
    if (!one) return undefined
    const { type, version } = fieldsOf<{ type: string; version: number }>(said)
    if (type === 'applied' && areNumbers(version)) {
      one.applied = version as number
      return { type, version: one.applied }
    }
    const message = decodeFromBalancer(said)
    if (isUndecoded(message)) return null
    if (message.type === 'counters') one.counters = message.routes
    if (message.type === 'ahead' || message.type === 'still') one.places[message.type] = message.places
    if (message.type === 'still') one.places.ready = message.ready ?? []
    if (message.type === 'sessions') one.tallies.set(message.service, message)
    return message
  }

  /** They go on with the successor of this balancer, and count there. */
  release(): void {
    this.#all.clear()
  }

  gone(key: object): void {
    const one = this.#all.get(key)
    this.#all.delete(key)
    if (one) this.#past = [...this.#past, ...one.counters.map((route) => ({ ...route, open: 0, streams: 0 }))]
  }

  forward(message: ToBalancer): void {
    for (const { send } of this.#all.values()) send(message)
  }

  /** Do all of them use this table, or a newer one? */
  use(version: number): boolean {
    return [...this.#all.values()].every(({ applied }) => applied >= version)
  }

  /** Of the places where this balancer has logged in ahead, is still, or is ready: those where all of them have, or are. */
  agreeOn(what: Places, places: readonly string[]): readonly string[] {
    const all = [...this.#all.values()]
    return places.filter((place) => all.every((one) => one.places[what].includes(place)))
  }

  /** What became of sessions in the change of primary that `tally` is about, here and there. */
  sum(tally: SessionTally): SessionTally {
    const others = [...this.#all.values()].flatMap(({ tallies }) => tallies.get(tally.service) ?? [])
    return others.filter(({ term }) => term === tally.term).reduce(together, tally)
  }

  /** The counters of this balancer with those of its predecessors. */
  addTo(routes: readonly RouteCounters[]): RouteCounters[] {
    const others = [...this.#past, ...[...this.#all.values()].flatMap(({ counters }) => counters)]
    return routes.map((route) =>
      others
        .filter(({ service, purpose }) => service === route.service && purpose === route.purpose)
        .reduce(plus, route),
    )
  }
}

function plus(one: RouteCounters, other: RouteCounters): RouteCounters {
  return {
    ...one,
    requests: one.requests + other.requests,
    connections: one.connections + other.connections,
    retried: one.retried + other.retried,
    failed: one.failed + other.failed,
    held: one.held + other.held,
    open: one.open + other.open,
    streams: one.streams + other.streams,
    full: one.full + other.full,
  }
}

function together(one: SessionTally, other: SessionTally): SessionTally {
  const cut: Partial<Record<CutReason, number>> = { ...one.cut }
  for (const [reason, count] of Object.entries(other.cut) as [CutReason, number][])
    cut[reason] = (cut[reason] ?? 0) + count
  const longestHoldMs = Math.max(one.longestHoldMs, other.longestHoldMs)
  return { ...one, held: one.held + other.held, moved: one.moved + other.moved, cut, longestHoldMs }
}
