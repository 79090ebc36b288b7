/**
 * The made-up store as a machine of its own: one map with leases (the real one, stores/lease-map.ts) on a clock of its own,
 * and the ways in which a store fails. Handles reach it over the made-up network (store-handle.ts).
 */
import { UnderstudyError } from '../errors.ts'
import type { Cancel } from '../lib/clock.ts'
import type { Random } from '../lib/random.ts'
import { LeaseMap } from '../stores/lease-map.ts'
import { checkSwap } from '../stores/requests.ts'
import type { Condition, Snapshot, Write } from '../stores/store.ts'

/**
 * `away`: refuses connections. `full`: reads, and refuses every change. `unsure`: breaks off each change before it answers,
 * having done it or not, as chance will have it.
 */
export type StoreCondition = 'well' | 'away' | 'full' | 'unsure'

/** What the store is asked for, and whether that changes anything. */
export interface Asked<T> {
  readonly changes: boolean
  handle(map: LeaseMap, now: number): T
}

export type Answer<T> = { readonly value: T } | { readonly error: UnderstudyError }

/** Told of every swap that was done: the world's own record of who was granted what. */
export type Witness = (writes: readonly Write[]) => void

export class StoreServer {
  readonly #map = new LeaseMap()
  readonly #now: () => number
  readonly #after: (delayMs: number, fn: () => void) => Cancel
  readonly #random: Random
  readonly #witness: Witness
  readonly #subscribers = new Set<() => void>()
  #snapshot: Snapshot | null = null
  #hintedAt = 0
  #cancelEnd: Cancel = () => undefined
  condition: StoreCondition = 'well'
  /** How long it thinks, at most, before it handles a request, and again before it answers. */
  slowMs = 0

  constructor(parts: {
    now(): number
    after(delayMs: number, fn: () => void): Cancel
    random: Random
    witness: Witness
  }) {
    this.#now = parts.now
    this.#after = parts.after
    this.#random = parts.random
    this.#witness = parts.witness
  }

  /** A request has arrived. `answer` is called when it has been handled. */
  take<T>(asked: Asked<T>, answer: (answer: Answer<T>) => void): void {
    if (this.slowMs === 0) return answer(this.#handle(asked))
    // Before it is handled or after, or both: a holder must count from before it asked, whichever it was.
    this.#after(this.slowMs * this.#random(), () => {
      const handled = this.#handle(asked)
      this.#after(this.slowMs * this.#random(), () => answer(handled))
    })
  }

  read(): Snapshot {
    const now = this.#now()
    const nextEnd = this.#map.nextEnd()
    if (!this.#snapshot || (nextEnd !== undefined && nextEnd <= now)) this.#snapshot = this.#map.read('', now)
    return this.#snapshot
  }

  swap(conditions: readonly Condition[], writes: readonly Write[], now: number): 'done' | 'conflict' {
    const outcome = this.#map.swap(conditions, checkSwap(conditions, writes), now)
    if (outcome === 'done') this.#witness(writes)
    return outcome
  }

  /** Calls `hint` whenever there is something else to read, until told to stop. */
  subscribe(hint: () => void): () => void {
    this.#subscribers.add(hint)
    return () => void this.#subscribers.delete(hint)
  }

  #handle<T>(asked: Asked<T>): Answer<T> {
    if (this.condition === 'away') return { error: refused() }
    if (!asked.changes) return { value: asked.handle(this.#map, this.#now()) }
    if (this.condition === 'full')
      return { error: new UnderstudyError('UND_STORE_FULL', 'the disk of the store is full') }
    if (this.condition === 'unsure' && this.#random() < 0.5) return { error: unsure() }
    const value = asked.handle(this.#map, this.#now())
    this.#changed()
    return this.condition === 'unsure' ? { error: unsure() } : { value }
  }

  #changed(): void {
    if (this.#map.revision !== this.#hintedAt) {
      this.#hintedAt = this.#map.revision
      this.#snapshot = null
      for (const hint of this.#subscribers) hint()
    }
    this.#cancelEnd()
    const endsAt = this.#map.nextEnd()
    if (endsAt !== undefined) this.#cancelEnd = this.#after(endsAt - this.#now(), () => this.#leaseEnded())
  }

  #leaseEnded(): void {
    this.read()
    this.#changed()
  }
}

export function refused(): UnderstudyError {
  return new UnderstudyError('UND_STORE_AWAY', 'connection refused')
}

function unsure(): UnderstudyError {
  return new UnderstudyError('UND_STORE_UNKNOWN', 'the connection broke before the store said whether this was done')
}
