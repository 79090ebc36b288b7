/**
 * One route, alive: its targets, what is held, what is counted. It chooses; the caller that brings the request does
 * everything else.
 *
 * Whatever may be chosen must pass the table first (state, term) and the balancer's own verdict second (pick.ts). For a
 * route to the primary the highest term ever seen is remembered: a target of a lower term is a former primary, and
 * whatever is sent there may be lost, so nothing goes there again and what is there is closed, even when no newer
 * primary is known.
 */
import { type EndpointLimits, limitsFor } from '../core/endpoint-limits.ts'
import type { SessionTally } from '../core/replicated/session-counts.ts'
import type { Route, RouteCounters, RoutingTable, Target } from '../core/routing-table.ts'
import type { Clock } from '../lib/clock.ts'
import type { Random } from '../lib/random.ts'
import type { SecretOf } from './balancer-secrets.ts'
import { Hold, type HoldSpace } from './hold.ts'
import type { openSocket } from './http/instance-connection.ts'
import type { RetryBudget } from './http/retry.ts'
import type { LoopWatch } from './loop-watch.ts'
import { pick, rankOf } from './pick.ts'
import type { Cancels } from './postgres/cancel-keys.ts'
import { LiveTarget } from './target.ts'

/** What all routes of one balancer share. */
export interface BalancerShared {
  readonly clock: Clock
  readonly random: Random
  readonly loop: LoopWatch
  readonly holdSpace: HoldSpace
  readonly budget: RetryBudget
  readonly secretOf: SecretOf
  /** Opens connections to instances: `openSocket`, except in tests. */
  readonly dial: typeof openSocket
  /** Of all PostgreSQL routes: a cancel request may come to any of them. */
  readonly cancels: Cancels
  onVerdict(service: string, target: LiveTarget): void
  onFull(service: string, target: LiveTarget): void
  onSessions(tally: SessionTally): void
  /** Something of a session has ended at a target that holds. */
  onStill(): void
}

const NONE: ReadonlySet<LiveTarget> = new Set()

export interface Counters {
  requests: number
  connections: number
  retried: number
  failed: number
  held: number
  open: number
  full: number
}

export class LiveRoute {
  readonly house: BalancerShared
  readonly hold: Hold
  readonly counters: Counters = { requests: 0, connections: 0, retried: 0, failed: 0, held: 0, open: 0, full: 0 }
  readonly #targets = new Map<string, LiveTarget>()
  #route: Route
  #limits: EndpointLimits
  /** Where it listens, as host:port. */
  readonly address: string
  #highestTerm = 0
  /** No new requests on connections that are open: they are told to close. */
  closing = false

  constructor(house: BalancerShared, route: Route, highestTerm: number) {
    this.house = house
    this.hold = new Hold(house.holdSpace)
    this.#route = route
    this.address = `${route.host}:${route.port}` // another one is another route
    this.#limits = limitsFor(route.protocol, route.limits)
    this.update(route, highestTerm)
  }

  get limits(): EndpointLimits {
    return this.#limits
  }

  /** Is there a target that would be given work, had it not as much as it may have? */
  get isFull(): boolean {
    const usable = this.#eligible(NONE).filter(({ belief }) => belief.verdict !== 'dead')
    return usable.length > 0 && usable.every(({ full }) => full)
  }

  get route(): Route {
    return this.#route
  }

  get targets(): Iterable<LiveTarget> {
    return this.#targets.values()
  }

  update(route: Route, highestTerm: number): void {
    this.#route = route
    this.#limits = limitsFor(route.protocol, route.limits)
    this.#highestTerm = highestTerm
    const wanted = new Map(route.targets.map((target) => [placeOf(target), target]))
    const gone: LiveTarget[] = []
    for (const [place, live] of this.#targets) {
      if (wanted.has(place)) continue
      this.#targets.delete(place)
      gone.push(live)
    }
    let fresh = false
    for (const [place, spec] of wanted) {
      const live = this.#targets.get(place)
      if (live) live.update(spec, route.probe, this.#limits)
      else this.#targets.set(place, this.#create(spec))
      fresh ||= !live
    }
    // Last, because what hangs there looks for another place at once: the new ones must be known by then.
    for (const live of gone) live.remove()
    for (const live of this.#targets.values()) {
      if (live.spec.state === 'dead' || this.#outdated(live)) live.lose()
      else if (live.spec.state === 'draining') live.drain()
      live.lookAtHold()
    }
    if (fresh || this.hold.size > 0) this.hold.release()
  }

  /** The best target for a request that has not tried `tried`; the caller must then `join` it, or another request will. */
  choose(tried: ReadonlySet<LiveTarget>, mayBeRepeated: boolean): LiveTarget | undefined {
    return pick(this.#eligible(tried), mayBeRepeated, this.house.random)
  }

  /** Is this the last place where the request can go? */
  isLast(target: LiveTarget, tried: ReadonlySet<LiveTarget>): boolean {
    return !this.#eligible(tried).some((other) => other !== target && rankOf(other.belief) !== 'never')
  }

  /** Is there a target that is better than a hung one? */
  hasBetterPlace(tried: ReadonlySet<LiveTarget>): boolean {
    return this.#eligible(tried).some((other) => other.belief.verdict !== 'dead' && !other.full)
  }

  tick(nowMs: number): void {
    for (const target of this.#targets.values()) target.tick(nowMs)
    this.hold.tick(nowMs)
  }

  close(): void {
    const targets = [...this.#targets.values()]
    this.#targets.clear() // first, so that nothing that is moved away from one goes to another
    for (const target of targets) target.close()
  }

  report(): RouteCounters {
    let streams = 0
    for (const target of this.#targets.values()) streams += target.streams
    return { service: this.#route.service, purpose: this.#route.purpose, ...this.counters, streams }
  }

  #eligible(tried: ReadonlySet<LiveTarget>): LiveTarget[] {
    const eligible: LiveTarget[] = []
    for (const target of this.#targets.values()) {
      if (target.spec.state === 'serving' && !tried.has(target) && !this.#outdated(target)) eligible.push(target)
    }
    return eligible
  }

  #outdated(target: LiveTarget): boolean {
    const isForPrimary = this.#route.purpose === 'primary' && this.#route.readOnly === null
    return isForPrimary && target.spec.term < this.#highestTerm
  }

  #create(spec: Target): LiveTarget {
    const { clock, loop, random, dial } = this.house
    return new LiveTarget(
      spec,
      this.#route.probe,
      { clock, loop, phase: random(), limits: this.#limits, dial },
      {
        onVerdict: (target) => this.house.onVerdict(this.#route.service, target),
        onFull: (target) => this.house.onFull(this.#route.service, target),
        onUsable: () => this.hold.release(),
      },
    )
  }
}

/** The same process at the same place: an id that moved to another port is another target. */
function placeOf(target: Target): string {
  return `${target.id} ${target.host} ${target.port}`
}

/** Identifies a route over tables: a listener with the same key stays open. */
export function routeKey(route: Route): string {
  return `${route.service} ${route.purpose} ${route.protocol} ${route.host} ${route.port}`
}

/** Per service the highest term of any target, in this table or before. */
export function highestTerms(table: RoutingTable, before: Readonly<Record<string, number>>): Record<string, number> {
  const terms: Record<string, number> = { ...before }
  for (const route of table.routes) {
    for (const target of route.targets) terms[route.service] = Math.max(terms[route.service] ?? 0, target.term)
  }
  return terms
}
