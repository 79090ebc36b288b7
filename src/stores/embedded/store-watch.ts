/**
 * Noticing what other processes did. A hint of a write (write-notice.ts) or a regular look asks for the file's
 * revision, for all watchers of this handle together. The whole map is read only when there is news: another revision,
 * a lease that ends by the clock, or a watcher that has not been told yet.
 *
 * Looks are one after the other and each sees a later moment than the one before, so no watcher is ever shown an older
 * map.
 */
import { guarded } from '../../lib/background.ts'
import type { Cancel, Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import type { Stop } from '../../lib/stop.ts'
import { PrefixWatch } from '../prefix-watch.ts'
import type { Watcher } from '../store.ts'
import { Busy, RETRY_WITHIN_MS } from './busy.ts'
import type { Picture } from './store-picture.ts'
import { listen } from './write-notice.ts'

/** Between two looks without a hint: only a net below the hints. Each costs some 0.4 ms in an idle process. */
const LOOK_EVERY_MS = 250
/** The same where hints are not to be had: then looks are all there is. */
const LOOK_EVERY_MS_DEAF = 40
/** From the hint to the look. The writer is just about to commit: an instant later there is something to see. */
const AFTER_HINT_MS = 1
/** From a look to the next: where all write all the time, who looks at each change keeps the others from writing. */
const BREATHER_MS = 8

export interface FileWatchSettings {
  readonly path: string
  readonly clock: Clock
  readonly random: Random
  /** How long the file may be locked before watchers are told that the store is away. */
  readonly waitMs: number
  /**
   * The whole map; undefined when the file still has the revision `known`. Throws Busy, or what is wrong with the file.
   */
  picture(known: number | undefined): Picture | undefined
  /** What to tell when the file stays locked. */
  lockedOut(): Error
}

export class FileWatch {
  readonly #settings: FileWatchSettings
  readonly #watches = new Set<PrefixWatch>()
  #planned: { readonly at: number; readonly cancel: Cancel } | undefined
  #stopListening: Stop | undefined
  /** What the last picture showed: news is whatever differs from it. */
  #seen: Picture | undefined
  #lookedAt = Number.NEGATIVE_INFINITY
  /** Since when every look found the file locked. */
  #busySince: number | undefined

  constructor(settings: FileWatchSettings) {
    this.#settings = settings
  }

  add(prefix: string, watcher: Watcher): Stop {
    const watch = new PrefixWatch(prefix, watcher)
    if (this.#watches.size === 0) {
      this.#stopListening = listen(this.#settings.path, () => this.#lookWithin(AFTER_HINT_MS))
    }
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
    this.#lookWithin(0)
  }

  stop(): void {
    this.#planned?.cancel()
    this.#planned = undefined
    this.#stopListening?.()
    this.#stopListening = undefined
    for (const watch of this.#watches) watch.stop()
    this.#watches.clear()
  }

  /** A look that is planned for earlier stays: hints that keep coming must not put it off for ever. */
  #lookWithin(delayMs: number): void {
    const { clock } = this.#settings
    const now = clock.mono()
    const at = Math.max(now + delayMs, this.#lookedAt + BREATHER_MS)
    if (this.#watches.size === 0 || (this.#planned && this.#planned.at <= at)) return
    this.#planned?.cancel()
    this.#planned = { at, cancel: clock.after(at - now, () => this.#look()) }
  }

  #look(): void {
    this.#planned = undefined
    const regularMs = this.#stopListening ? LOOK_EVERY_MS : LOOK_EVERY_MS_DEAF
    let tell: (watch: PrefixWatch) => void = () => {}
    let nextMs = regularMs
    try {
      const picture = this.#settings.picture(this.#known())
      if (picture) {
        this.#seen = picture
        tell = (watch) => watch.show(picture.snapshot)
      }
      this.#lookedAt = this.#settings.clock.mono()
      this.#busySince = undefined
      const untilEndMs = (this.#seen?.nextEnd ?? Number.POSITIVE_INFINITY) - this.#settings.clock.mono()
      nextMs = Math.min(regularMs, Math.max(0, untilEndMs))
    } catch (error) {
      const failed = this.#failed(error)
      nextMs = failed.againMs ?? regularMs
      if (failed.away) tell = (watch) => watch.showAway(failed.away as Error)
    }
    this.#lookWithin(nextMs)
    // Last, and outside of the try: what a watcher throws is its own bug, not the store's trouble.
    for (const watch of [...this.#watches]) guarded('a watcher of the store', () => tell(watch))
  }

  /** The stored revision that would be no news to any watcher; undefined when there is something to tell in any case. */
  #known(): number | undefined {
    const seen = this.#seen
    const isDue = !seen || this.#settings.clock.mono() >= seen.nextEnd
    return isDue || [...this.#watches].some((watch) => watch.isWaiting) ? undefined : seen.stored
  }

  /** A lock is normal for some milliseconds; everything else is told at once. */
  #failed(error: unknown): { readonly againMs?: number; readonly away?: Error } {
    const { clock, random, waitMs } = this.#settings
    if (!(error instanceof Busy)) return { away: error as Error }
    this.#busySince ??= clock.mono()
    if (clock.mono() - this.#busySince < waitMs) return { againMs: random() * RETRY_WITHIN_MS }
    return { away: this.#settings.lockedOut() }
  }
}
