/**
 * The whole balancer: the routes of the current table, each with its listener, and the one tick that moves everything
 * that depends on time. A new table is taken as a whole. Routes that are in both tables keep their listener, their
 * targets and their connections; a change of one target never touches what is open on another.
 */
import type { Server } from 'node:net'
import type { SessionTally } from '../core/replicated/session-counts.ts'
import type { Route, RouteCounters, RoutingTable } from '../core/routing-table.ts'
import type { Cancel, Clock } from '../lib/clock.ts'
import type { Random } from '../lib/random.ts'
import { sameItems } from '../lib/same.ts'
import { superviseLoop } from '../lib/supervised-loop.ts'
import type { SecretOf } from './balancer-secrets.ts'
import { HoldSpace } from './hold.ts'
import { httpServer } from './http/http-listener.ts'
import { openSocket } from './http/instance-connection.ts'
import { RetryBudget } from './http/retry.ts'
import { Listener } from './listening-socket.ts'
import { type BalancerShared, highestTerms, LiveRoute, routeKey } from './live-route.ts'
import { LoopWatch } from './loop-watch.ts'
import { Cancels } from './postgres/cancel-keys.ts'
import { postgresServer } from './postgres/postgres-listener.ts'
import { tcpServer } from './tcp/tcp-listener.ts'
import type { Verdict } from './verdict.ts'

export interface BalancerEvents {
  onListening(route: Route): void
  onListenFailed(route: Route, code: string, message: string): void
  onVerdict(service: string, targetId: string, verdict: Verdict, why: string): void
  onFull(service: string, targetId: string, isFull: boolean, of: string): void
  onSessions(tally: SessionTally): void
  onAhead(places: readonly string[]): void
  /** `ready`: of these places. */
  onStill(places: readonly string[], ready: readonly string[]): void
}

/** How often the clock is checked while requests are open: fine enough for waits of 100 ms. */
export const TICK_MS = 50
/** And while none is. Half of the usual time between two probes, so that many are sent at one waking. */
export const QUIET_TICK_MS = 125
/** How long open requests may take to end when the balancer is drained. */
export const DRAIN_MS = 10_000

const SERVERS = { http: httpServer, tcp: tcpServer, postgres: postgresServer } as const

interface Open {
  readonly entrance: LiveRoute
  readonly listener: Listener
}

export class Balancer {
  readonly #clock: Clock
  readonly #events: BalancerEvents
  readonly #house: BalancerShared
  readonly #open = new Map<string, Open>()
  /** Routes that are in the table no more, with connections that still end. */
  readonly #ending = new Set<Open>()
  #version = 0
  #terms: Readonly<Record<string, number>> = {}
  #cancelTick: Cancel
  #draining = false
  #retired = false
  #table: RoutingTable | null = null
  #nextTickMs = TICK_MS
  #ahead: readonly string[] = []
  #still: readonly string[] = []
  #ready: readonly string[] = []

  constructor(clock: Clock, random: Random, events: BalancerEvents, secretOf: SecretOf = () => null) {
    this.#clock = clock
    this.#events = events
    this.#house = {
      clock,
      random,
      loop: new LoopWatch(clock.mono(), TICK_MS),
      holdSpace: new HoldSpace(),
      budget: new RetryBudget(),
      secretOf,
      dial: openSocket,
      cancels: new Cancels(),
      onVerdict: (service, { spec, belief }) => events.onVerdict(service, spec.id, belief.verdict, belief.why),
      onFull: (service, target) => events.onFull(service, target.spec.id, target.toldFull, target.fullOf),
      onSessions: (tally) => events.onSessions(tally),
      onStill: () => this.#tellStill('ready'),
    }
    const everyMs = () => this.#nextTickMs
    this.#cancelTick = superviseLoop({ clock, what: 'the tick', everyMs, work: () => this.#tick() }).stop
  }

  /** The one in use. */
  get table(): RoutingTable | null {
    return this.#table
  }

  get version(): number {
    return this.#version
  }

  get highestTerms(): Readonly<Record<string, number>> {
    return this.#terms
  }

  /** Terms that were seen before this process began. */
  recallTerms(terms: Readonly<Record<string, number>>): void {
    this.#terms = { ...terms, ...this.#terms }
  }

  /** False when it is not newer than the one in use. */
  apply(table: RoutingTable): boolean {
    if (table.version <= this.#version || this.#draining) return false
    this.#version = table.version
    this.#table = table
    this.#terms = highestTerms(table, this.#terms)
    const wanted = new Map(table.routes.map((route) => [routeKey(route), route]))
    for (const [key, open] of this.#open) {
      if (!wanted.has(key)) this.#end(key, open)
    }
    for (const [key, route] of wanted) {
      const open = this.#open.get(key)
      const term = this.#terms[route.service] ?? 0
      if (open) open.entrance.update(route, term)
      else if (!this.#retired) this.#open.set(key, this.#begin(route, term))
    }
    this.#tellStill('any')
    return true
  }

  /** Serves a route of the table that will be applied next on a socket that a predecessor listened on. */
  adopt(route: Route, inherited: Server): void {
    const key = routeKey(route)
    if (this.#open.has(key)) return
    this.#open.set(key, this.#begin(route, this.#terms[route.service] ?? 0, inherited))
  }

  /** The sockets that it listens on, by the keys of their routes. */
  *listeners(): Iterable<readonly [string, Server]> {
    for (const [key, { listener }] of this.#open) if (listener.listening) yield [key, listener.front.server]
  }

  /** Accepts nothing more; what is open goes on, by the tables that still come, until it ends by itself. */
  retire(): void {
    this.#retired = true
    for (const { listener } of this.#open.values()) listener.retire()
  }

  /** Nothing is open any more. */
  get isDone(): boolean {
    return this.#ending.size === 0 && [...this.#open.values()].every(({ listener }) => listener.front.open === 0)
  }

  report(): RouteCounters[] {
    return [...this.#open.values()].map(({ entrance }) => entrance.report())
  }

  /** What every listener and target is at now, for an agent that has just connected. */
  retell(): void {
    this.#events.onAhead(this.#ahead)
    this.#events.onStill(this.#still, this.#ready)
    for (const { entrance, listener } of this.#open.values()) {
      const { route } = entrance
      if (listener.listening) this.#events.onListening(route)
      else if (listener.failure) this.#events.onListenFailed(route, listener.failure.code, listener.failure.message)
      for (const { spec, belief } of entrance.targets) {
        this.#events.onVerdict(route.service, spec.id, belief.verdict, belief.why)
      }
    }
  }

  /** Accepts nothing more; resolves when everything open has ended, or was closed after ten seconds. */
  async drain(): Promise<void> {
    this.#draining = true
    for (const [key, open] of this.#open) this.#end(key, open)
    const untilMs = this.#clock.mono() + DRAIN_MS
    while (this.#ending.size > 0 && this.#clock.mono() < untilMs) {
      await new Promise<void>((resolve) => this.#clock.after(TICK_MS, resolve))
    }
    this.cutAll()
  }

  /** Ends everything now. */
  cutAll(): void {
    this.#draining = true
    for (const [key, open] of this.#open) this.#end(key, open)
    for (const open of this.#ending) this.#shut(open)
    this.#cancelTick()
  }

  #begin(route: Route, highestTerm: number, inherited?: Server): Open {
    const entrance = new LiveRoute(this.#house, route, highestTerm)
    const front = SERVERS[route.protocol](entrance)
    const events = {
      onListening: () => this.#events.onListening(route),
      onFailed: (code: string, message: string) => this.#events.onListenFailed(route, code, message),
    }
    const listener = new Listener(front, route, this.#clock, events, inherited)
    return { entrance, listener }
  }

  #end(key: string, open: Open): void {
    this.#open.delete(key)
    this.#ending.add(open)
    open.listener.close()
  }

  #shut(open: Open): void {
    this.#ending.delete(open)
    open.listener.front.cutAll()
    open.entrance.close()
  }

  #tick(): void {
    const now = this.#clock.mono()
    const nextInMs = this.#quiet() ? QUIET_TICK_MS : TICK_MS
    this.#nextTickMs = nextInMs
    this.#house.loop.tick(now, nextInMs)
    for (const { entrance, listener } of this.#open.values()) {
      entrance.tick(now)
      listener.front.tick?.(now)
    }
    this.#tellAhead()
    this.#tellStill('any')
    for (const open of this.#ending) {
      open.entrance.tick(now)
      open.listener.front.tick?.(now)
      open.listener.front.wind()
      if (open.listener.front.open === 0) this.#shut(open)
    }
  }

  #tellAhead(): void {
    const places = [...this.#open.values()].flatMap(({ entrance, listener }) => {
      const node = listener.front.ahead
      return node === undefined ? [] : `${entrance.route.service}@${node}`
    })
    if (sameItems(places, this.#ahead)) return
    this.#ahead = places
    this.#events.onAhead(places)
  }

  /** `ready`: a hold that is still and not ready yet is told at the next tick, because mostly it is ready before. */
  #tellStill(when: 'any' | 'ready'): void {
    const fronts = [...this.#open.values()].map(({ listener }) => listener.front)
    const ready = fronts.flatMap((front) => front.ready ?? [])
    if (when === 'ready' && sameItems(ready, this.#ready)) return
    const places = fronts.flatMap((front) => front.still ?? [])
    if (sameItems(places, this.#still) && sameItems(ready, this.#ready)) return
    this.#still = places
    this.#ready = ready
    this.#events.onStill(places, ready)
  }

  #quiet(): boolean {
    if (this.#ending.size > 0) return false
    for (const { entrance } of this.#open.values()) if (entrance.counters.open > 0) return false
    return true
  }
}
