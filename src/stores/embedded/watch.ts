/**
 * Noticing what other processes did. SQLite tells nobody, so one look every `pollMs` asks for the file's revision (a few
 * microseconds from the cache when nothing changed), for all watchers of this handle together. The whole map is read only
 * when there is news: another revision, a lease that ends by the clock, or a watcher that has not been told yet.
 *
 * Looks are one after the other and each sees a later moment than the one before, so nobody is ever shown an older map.
 */
import type { Cancel, Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import type { Stop } from '../../lib/stop.ts'
import { PrefixWatch } from '../prefix-watch.ts'
import type { Watcher } from '../store.ts'
import { Busy, RETRY_WITHIN_MS } from './busy.ts'
import type { Picture } from './picture.ts'

export interface FileWatchSettings {
  readonly clock: Clock
  readonly random: Random
  readonly pollMs: number
  /** How long the file may be locked before watchers are told that the store is away. */
  readonly waitMs: number
  /** The revision in the file. Throws Busy, or what is wrong with the file. */
  storedRevision(): number
  picture(): Picture
  /** What to tell when the file stays locked. */
  lockedOut(): Error
}

export class FileWatch {
  readonly #settings: FileWatchSettings
  readonly #watches = new Set<PrefixWatch>()
  #cancel: Cancel = () => {}
  /** What the last picture showed: news is whatever differs from it. */
  #seen: Picture | undefined
  /** Since when every look found the file locked. */
  #busySince: number | undefined

  constructor(settings: FileWatchSettings) {
    this.#settings = settings
  }

  add(prefix: string, watcher: Watcher): Stop {
    const watch = new PrefixWatch(prefix, watcher)
    this.#watches.add(watch)
    this.wake()
    return () => {
      watch.stop()
      this.#watches.delete(watch)
      if (this.#watches.size === 0) this.stop()
    }
  }

  /** Looks at once, for instance because this process itself changed something. */
  wake(): void {
    this.#lookIn(0)
  }

  stop(): void {
    this.#cancel()
    for (const watch of this.#watches) watch.stop()
    this.#watches.clear()
  }

  #lookIn(delayMs: number): void {
    this.#cancel()
    if (this.#watches.size > 0) this.#cancel = this.#settings.clock.after(delayMs, () => this.#look())
  }

  #look(): void {
    const { clock, pollMs } = this.#settings
    let tell: (watch: PrefixWatch) => void = () => {}
    let nextMs = pollMs
    try {
      if (this.#isNews()) {
        const picture = this.#settings.picture()
        this.#seen = picture
        tell = (watch) => watch.show(picture.snapshot)
      }
      this.#busySince = undefined
      const untilEndMs = (this.#seen?.nextEnd ?? Number.POSITIVE_INFINITY) - clock.mono()
      nextMs = Math.min(pollMs, Math.max(0, untilEndMs))
    } catch (error) {
      const failed = this.#failed(error)
      nextMs = failed.nextMs
      if (failed.away) tell = (watch) => watch.showAway(failed.away as Error)
    }
    this.#lookIn(nextMs)
    // Last, and outside of the try: what a watcher throws is its own bug, not the store's trouble.
    for (const watch of [...this.#watches]) tell(watch)
  }

  #isNews(): boolean {
    const seen = this.#seen
    if (!seen || this.#settings.clock.mono() >= seen.nextEnd) return true
    if ([...this.#watches].some((watch) => watch.isWaiting)) return true
    return this.#settings.storedRevision() !== seen.stored
  }

  /** A lock is normal for some milliseconds; everything else is told at once. */
  #failed(error: unknown): { readonly nextMs: number; readonly away?: Error } {
    const { clock, random, waitMs, pollMs } = this.#settings
    if (!(error instanceof Busy)) return { nextMs: pollMs, away: error as Error }
    this.#busySince ??= clock.mono()
    if (clock.mono() - this.#busySince < waitMs) return { nextMs: random() * RETRY_WITHIN_MS }
    return { nextMs: pollMs, away: this.#settings.lockedOut() }
  }
}
