/**
 * A store that may not be there yet. An agent must be able to start, adopt what runs and say what is wrong while its
 * store is damaged, read-only or full; so opening is tried again and again beside it, and until then every call is
 * refused with the reason.
 */
import { inBackground } from '../lib/background.ts'
import type { Cancel, Clock } from '../lib/clock.ts'
import type { Stop } from '../lib/stop.ts'
import type { Condition, LeaseId, Snapshot, Store, Write } from '../stores/store.ts'

const TRY_AGAIN_MS = 1_000

type Watcher = Parameters<Store['watch']>[1]

export class LateStore implements Store {
  readonly #open: () => Promise<Store>
  readonly #clock: Clock
  #store: Store | null = null
  #why: Error = new Error('the store is not open yet')
  #waiting = new Set<{ readonly prefix: string; readonly watcher: Watcher; stop: Stop }>()
  #cancel: Cancel = () => undefined
  #closed = false

  constructor(open: () => Promise<Store>, clock: Clock) {
    this.#open = open
    this.#clock = clock
    inBackground(this.#try(), 'opening the store')
  }

  async read(prefix: string): Promise<Snapshot> {
    return this.#opened().read(prefix)
  }

  watch(prefix: string, watcher: Watcher): Stop {
    if (this.#store) return this.#store.watch(prefix, watcher)
    const waiting = { prefix, watcher, stop: () => void this.#waiting.delete(waiting) }
    this.#waiting.add(waiting)
    watcher.away(this.#why)
    return () => waiting.stop()
  }

  async swap(conditions: readonly Condition[], writes: readonly Write[]): Promise<'done' | 'conflict'> {
    return this.#opened().swap(conditions, writes)
  }

  async acquire(ttlMs: number): Promise<LeaseId> {
    return this.#opened().acquire(ttlMs)
  }

  async renew(lease: LeaseId): Promise<void> {
    return this.#opened().renew(lease)
  }

  async release(lease: LeaseId): Promise<void> {
    return this.#opened().release(lease)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#cancel()
    await this.#store?.close()
  }

  #opened(): Store {
    if (!this.#store) throw this.#why
    return this.#store
  }

  async #try(): Promise<void> {
    if (this.#closed) return
    try {
      const store = await this.#open()
      if (this.#closed) return await store.close()
      this.#store = store
    } catch (error) {
      this.#why = error as Error
      for (const { watcher } of this.#waiting) watcher.away(this.#why)
      this.#cancel = this.#clock.after(TRY_AGAIN_MS, () => inBackground(this.#try(), 'opening the store'))
      return
    }
    for (const waiting of this.#waiting) waiting.stop = this.#store.watch(waiting.prefix, waiting.watcher)
    this.#waiting.clear()
  }
}
