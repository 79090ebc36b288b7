/**
 * The store without a disk: for tests, the simulator and tests of what is built on Understudy. One MemoryCluster is
 * what the agents agree in; each agent opens a handle of its own.
 *
 * It can be made to misbehave, for one handle (that agent has no connection) or for all (the store is down). Nothing
 * here reads a clock or a random number of its own: under a virtual clock the same calls give the same answers in the
 * same order.
 */

import { UnderstudyError } from '../errors.ts'
import { assertNever } from '../lib/assert.ts'
import type { Cancel, Clock } from '../lib/clock.ts'
import { sleep } from '../lib/clock.ts'
import type { Stop } from '../lib/stop.ts'
import { LeaseMap } from './lease-map.ts'
import { PrefixWatch } from './prefix-watch.ts'
import { checkSwap, checkTtl } from './requests.ts'
import type { Condition, LeaseId, Snapshot, Store, Watcher, Write } from './store.ts'

/** How a store can misbehave. All times in milliseconds. */
export type Fault =
  /** Nothing is done; each call rejects with UND_STORE_AWAY after `afterMs` (0 when absent), watchers are told. */
  | { readonly kind: 'away'; readonly afterMs?: number }
  /** A request takes `requestMs` until it is handled and its answer `replyMs` until it is there. */
  | { readonly kind: 'slow'; readonly requestMs: number; readonly replyMs: number }
  /** Each change rejects with UND_STORE_UNKNOWN, having happened or not. Reads and watches work. */
  | { readonly kind: 'unknown'; readonly happens: boolean }

export class MemoryCluster {
  readonly #clock: Clock
  readonly #map = new LeaseMap()
  readonly #stores = new Set<MemoryStore>()
  #cancelEnd: Cancel = () => {}

  constructor(options: { readonly clock: Clock }) {
    this.#clock = options.clock
  }

  /** One more handle on the same map. */
  open(): MemoryStore {
    const store = new MemoryStore(this.#clock, this.#map, () => this.#changed())
    this.#stores.add(store)
    return store
  }

  /** Makes every open handle misbehave; null makes all of them normal. */
  misbehave(fault: Fault | null): void {
    for (const store of this.#stores) store.misbehave(fault)
  }

  #changed(): void {
    for (const store of this.#stores) {
      if (store.isClosed) this.#stores.delete(store)
      else store.wakeWatches()
    }
    this.#planEnd()
  }

  /** Watchers hear of a lease's end although no call is made. Without watchers there is no timer. */
  #planEnd(): void {
    this.#cancelEnd()
    const endsAt = this.#map.nextEnd()
    if (endsAt === undefined || ![...this.#stores].some((store) => store.isWatched)) return
    this.#cancelEnd = this.#clock.after(endsAt - this.#clock.mono(), () => this.#changed())
  }
}

export class MemoryStore implements Store {
  readonly #clock: Clock
  readonly #map: LeaseMap
  readonly #tellAll: () => void
  readonly #watches = new Map<PrefixWatch, Cancel>()
  #fault: Fault | null = null
  #isClosed = false

  /** Use MemoryCluster.open. */
  constructor(clock: Clock, map: LeaseMap, tellAll: () => void) {
    this.#clock = clock
    this.#map = map
    this.#tellAll = tellAll
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  get isWatched(): boolean {
    return this.#watches.size > 0
  }

  /** Makes this handle misbehave from now on; null makes it normal. Calls that are under way end as they began. */
  misbehave(fault: Fault | null): void {
    this.#fault = fault
    this.wakeWatches()
  }

  async read(prefix: string): Promise<Snapshot> {
    return this.#ask('read', () => this.#map.read(prefix, this.#clock.mono()))
  }

  async swap(conditions: readonly Condition[], writes: readonly Write[]): Promise<'done' | 'conflict'> {
    const checked = checkSwap(conditions, writes)
    return this.#ask('change', () => this.#map.swap(conditions, checked, this.#clock.mono()))
  }

  async acquire(ttlMs: number): Promise<LeaseId> {
    checkTtl(ttlMs)
    return this.#ask('change', () => this.#map.acquire(ttlMs, this.#clock.mono()))
  }

  async renew(lease: LeaseId): Promise<void> {
    const lives = await this.#ask('change', () => this.#map.renew(lease, this.#clock.mono()))
    if (!lives) throw new UnderstudyError('UND_LEASE_LOST', `the lease ${lease} has ended`)
  }

  async release(lease: LeaseId): Promise<void> {
    await this.#ask('change', () => this.#map.release(lease, this.#clock.mono()))
  }

  watch(prefix: string, watcher: Watcher): Stop {
    const watch = new PrefixWatch(prefix, watcher)
    if (this.#isClosed) return () => {}
    this.#watches.set(watch, () => {})
    this.wakeWatches()
    this.#tellAll()
    return () => {
      watch.stop()
      this.#watches.get(watch)?.()
      this.#watches.delete(watch)
      if (!this.isWatched) this.#tellAll() // no watcher is left to be told of a lease's end: no timer for it
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    for (const [watch, cancel] of this.#watches) {
      watch.stop()
      cancel()
    }
    this.#watches.clear()
    this.#tellAll()
  }

  /** Each watcher looks once, soon: what happens until then is seen together. */
  wakeWatches(): void {
    const delayMs = this.#fault?.kind === 'slow' ? this.#fault.requestMs + this.#fault.replyMs : 0
    for (const [watch, cancel] of this.#watches) {
      cancel()
      this.#watches.set(
        watch,
        this.#clock.after(delayMs, () => this.#look(watch)),
      )
    }
  }

  #look(watch: PrefixWatch): void {
    if (this.#fault?.kind === 'away') watch.showAway(away())
    else watch.show(this.#map.read('', this.#clock.mono()))
  }

  async #ask<T>(what: 'read' | 'change', handle: () => T): Promise<T> {
    if (this.#isClosed) throw new UnderstudyError('UND_STORE_AWAY', 'this handle of the store was closed')
    const fault = this.#fault
    switch (fault?.kind) {
      case undefined:
        return this.#handle(what, handle)
      case 'away':
        if (fault.afterMs) await sleep(this.#clock, fault.afterMs)
        throw away()
      case 'slow': {
        await sleep(this.#clock, fault.requestMs)
        const answer = this.#handle(what, handle)
        await sleep(this.#clock, fault.replyMs)
        return answer
      }
      case 'unknown':
        if (what === 'read') return this.#handle(what, handle)
        if (fault.happens) this.#handle(what, handle)
        throw new UnderstudyError('UND_STORE_UNKNOWN', 'the store broke off before it said whether this was done')
      default:
        return assertNever(fault)
    }
  }

  #handle<T>(what: 'read' | 'change', handle: () => T): T {
    const answer = handle()
    if (what === 'change') this.#tellAll()
    return answer
  }
}

function away(): UnderstudyError {
  return new UnderstudyError('UND_STORE_AWAY', 'the store does not answer')
}
