/**
 * One SQLite file, shared by the agents of one machine. There is no server process: each request takes the file's lock
 * for a millisecond. Any process may be killed at any moment; SQLite's journal undoes what was half written at the next
 * access.
 *
 * The invariant of every verb: the clock is read while the file's lock is held, so that nothing can happen between
 * reading it and acting on it, and all processes' changes have one order in which the clock never goes back.
 *
 * A process that is stopped (SIGSTOP) within that millisecond keeps the lock: then no agent on the machine can agree on
 * anything until it goes on or is killed, and the others' calls reject with UND_STORE_AWAY within `waitMs`. No call
 * blocks this process's event loop for longer than the disk takes to write a few pages.
 */
import { UnderstudyError } from '../../errors.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import type { Stop } from '../../lib/stop.ts'
import { withPrefix } from '../prefix-watch.ts'
import { type CheckedWrite, checkSwap, checkTtl } from '../requests.ts'
import type { Condition, LeaseId, Snapshot, Store, Watcher, Write } from '../store.ts'
import { whenFree } from './busy.ts'
import {
  addLease,
  extendLease,
  isAlive,
  type LeaseBooks,
  type Moment,
  removeEnded,
  removeLease,
} from './lease-clock.ts'
import type { LeaseTimes } from './lease-times.ts'
import type { Connection, Outcome } from './sqlite-connection.ts'
import { damaged, lockedOut } from './sqlite-errors.ts'
import { type Picture, storedRevision, takePicture } from './store-picture.ts'
import { FileWatch } from './store-watch.ts'

export interface EmbeddedSettings {
  readonly clock: Clock
  readonly random: Random
  /** How long a call waits for the file's lock before it rejects with UND_STORE_AWAY. */
  readonly waitMs: number
  /** Which boot of the machine this is. */
  readonly boot: string
}

export class EmbeddedStore implements Store {
  readonly #file: Connection
  readonly #books: LeaseBooks
  readonly #settings: EmbeddedSettings
  readonly #watch: FileWatch
  /** The highest stored revision seen: a file that goes back behind it is another file in the place of ours. */
  #highest = 0
  #isClosed = false

  /** Takes over connection and lease times: closes both when the store is closed. */
  constructor(file: Connection, times: LeaseTimes, settings: EmbeddedSettings) {
    this.#file = file
    this.#books = { file, times }
    this.#settings = settings
    const { clock, random, waitMs } = settings
    this.#watch = new FileWatch({
      path: file.path,
      clock,
      random,
      waitMs,
      picture: (known) => this.#file.reading(() => (this.#revision() === known ? undefined : this.#picture())),
      lockedOut: () => lockedOut(file.path, waitMs),
    })
  }

  async read(prefix: string): Promise<Snapshot> {
    const { revision, entries } = (await this.#whenFree(() => this.#file.reading(() => this.#picture()))).snapshot
    return Object.freeze({ revision, entries: withPrefix(entries, prefix) })
  }

  async swap(conditions: readonly Condition[], writes: readonly Write[]): Promise<'done' | 'conflict'> {
    const checked = checkSwap(conditions, writes)
    return this.#change((_moment, revision) => {
      const holds = this.#allHold(conditions) && this.#allAlive(checked)
      if (!holds || checked.length === 0) return { answer: holds ? 'done' : 'conflict', revision, keep: false }
      this.#write(checked, revision + 1)
      return { answer: 'done', revision: revision + 1, keep: true }
    })
  }

  async acquire(ttlMs: number): Promise<LeaseId> {
    checkTtl(ttlMs)
    return this.#change((moment, revision) => {
      const lease = addLease(this.#books, ttlMs, moment, this.#settings.random())
      return { answer: lease, revision, keep: true }
    })
  }

  async renew(lease: LeaseId): Promise<void> {
    const lives = await this.#whenFree(() =>
      this.#file.alone(() => {
        this.#books.times.load()
        this.#revision() // a file that was replaced by an older one renews nothing
        return extendLease(this.#books, lease, this.#moment())
      }),
    )
    if (!lives) throw new UnderstudyError('UND_LEASE_LOST', `the lease ${lease} has ended`)
  }

  async release(lease: LeaseId): Promise<void> {
    await this.#change((_moment, revision) => {
      if (!isAlive(this.#file, lease)) return { answer: undefined, revision, keep: false }
      const hadKeys = removeLease(this.#file, lease) > 0
      return { answer: undefined, revision: hadKeys ? revision + 1 : revision, keep: true }
    })
  }

  watch(prefix: string, watcher: Watcher): Stop {
    return this.#isClosed ? () => {} : this.#watch.add(prefix, watcher)
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#watch.stop()
    this.#file.close()
    this.#books.times.close()
  }

  /** Runs one change alone in the file, after what has ended was removed from it. */
  async #change<T>(change: (moment: Moment, revision: number) => Outcome<T> & { revision: number }): Promise<T> {
    const answer = await this.#whenFree(() => {
      const { answer, revision } = this.#file.writing(() => {
        this.#books.times.load()
        const moment = this.#moment()
        const before = this.#revision()
        const outcome = change(moment, before + removeEnded(this.#books, moment))
        if (outcome.keep && outcome.revision !== before) {
          this.#file.run('UPDATE meta SET revision = ?', outcome.revision)
        }
        const revision = outcome.keep ? outcome.revision : before
        return { answer: { answer: outcome.answer, revision }, keep: outcome.keep }
      })
      this.#highest = revision
      return answer
    })
    this.#watch.wake()
    return answer
  }

  #allHold(conditions: readonly Condition[]): boolean {
    return conditions.every(({ key, revision }) => {
      const [row] = this.#file.rows('SELECT revision FROM entry WHERE key = ?', key)
      return (row?.[0] ?? 0) === revision
    })
  }

  #allAlive(writes: readonly CheckedWrite[]): boolean {
    return writes.every(({ lease }) => lease === undefined || isAlive(this.#file, lease))
  }

  #write(writes: readonly CheckedWrite[], revision: number): void {
    for (const { key, json, lease } of writes) {
      if (json === undefined) this.#file.run('DELETE FROM entry WHERE key = ?', key)
      else {
        const sql = 'INSERT OR REPLACE INTO entry (key, value, revision, lease) VALUES (?, ?, ?, ?)'
        this.#file.run(sql, key, json, revision, lease ?? null)
      }
    }
  }

  #picture(): Picture {
    this.#books.times.load()
    const picture = takePicture(this.#books, this.#moment())
    this.#notBack(picture.stored)
    return picture
  }

  #revision(): number {
    const revision = storedRevision(this.#file)
    this.#notBack(revision)
    return revision
  }

  #notBack(revision: number): void {
    if (revision < this.#highest) {
      throw damaged(this.#file.path, `it went back from revision ${this.#highest} to ${revision}: it was replaced`)
    }
    this.#highest = revision
  }

  #moment(): Moment {
    return { boot: this.#settings.boot, now: this.#settings.clock.mono() }
  }

  #whenFree<T>(attempt: () => T): Promise<T> {
    const { clock, random, waitMs } = this.#settings
    const attemptIfOpen = () => {
      if (this.#isClosed) throw new UnderstudyError('UND_STORE_AWAY', 'this handle of the store was closed')
      return attempt()
    }
    return whenFree({ clock, random, limitMs: waitMs }, attemptIfOpen, () => lockedOut(this.#file.path, waitMs))
  }
}
