/**
 * What the sessions of one route know together: of each database what it can do to a session (database-catalogue.ts), and the names of
 * custom settings that any of them has heard of. One of the sessions that are in a database reads its catalogue, when it is idle; it
 * is compared again while there is work in that database, and once more by what comes to another server.
 */
import type { SessionOptions } from '../../../core/replicated/session-counts.ts'
import type { Clock } from '../../../lib/clock.ts'
import { Catalogue, fingerprintIn, type Rows, UNREAD } from './database-catalogue.ts'
import type { Hidden } from './statements.ts'

/** While there is work in a database, its catalogue is compared so often. */
const COMPARED_EVERY_MS = 2_000
/** Custom settings that every session is asked for. */
const NAMES_MAX = 1_000

export const STRICT: SessionOptions = { customSettings: [], trustedFunctions: [], whenUnknown: 'close' }

export class DatabaseKnowledge {
  readonly #clock: Clock
  readonly #options: () => SessionOptions
  #catalogue: Catalogue | undefined
  #askedAtMs: number | undefined
  #failedAtMs = Number.NEGATIVE_INFINITY
  /** Another one was read, and it is not checked yet which sessions that concerns. */
  hasChanged = false
  /** It is another one by now. */
  #isOld = false
  readonly #waiting = new Set<() => void>()

  constructor(clock: Clock, options: () => SessionOptions) {
    this.#clock = clock
    this.#options = options
  }

  get catalogue(): Catalogue | undefined {
    return this.#isOld ? undefined : this.#catalogue
  }

  get hidden(): Hidden {
    return this.catalogue ?? UNREAD
  }

  /** What a session that is idle asks for all of them. `usedAtMs`: when it was used last. */
  wanted(usedAtMs: number, isLeaving: boolean): 'all' | 'fingerprint' | undefined {
    const now = this.#clock.mono()
    if (now - this.#failedAtMs < COMPARED_EVERY_MS) return undefined
    if (this.#askedAtMs !== undefined && (!isLeaving || this.#askedAtMs >= usedAtMs)) return undefined
    const { catalogue } = this
    if (!catalogue) return this.#askedAtMs === undefined ? 'all' : undefined
    if (usedAtMs <= catalogue.verifiedAtMs) return undefined
    return isLeaving || now - catalogue.verifiedAtMs >= COMPARED_EVERY_MS ? 'fingerprint' : undefined
  }

  asks(): void {
    this.#askedAtMs = this.#clock.mono()
  }

  /** Undefined: no answer, because it failed or the server is gone. */
  answered(rows: Rows | undefined): void {
    const askedAtMs = this.#askedAtMs ?? this.#clock.mono()
    this.#askedAtMs = undefined
    const fingerprint = rows && fingerprintIn(rows)
    if (!rows || fingerprint === undefined) this.#failedAtMs = this.#clock.mono()
    else if (this.#catalogue?.fingerprint === fingerprint) {
      this.#isOld = false
      this.#catalogue.verifiedAtMs = askedAtMs
    } else if (rows.length === 1 && fingerprint !== 'empty') this.#isOld = true
    else this.#learn(rows, askedAtMs)
    this.#goOn()
  }

  /** The session that asked is gone. */
  abandon(): void {
    this.#askedAtMs = undefined
    this.#goOn()
  }

  /** True: another session asks what this one, used last at `usedAtMs`, depends on; `go` is called once, when that is over. */
  waits(usedAtMs: number, go: () => void): boolean {
    const isCovered = this.catalogue !== undefined && usedAtMs <= this.catalogue.verifiedAtMs
    if (isCovered || this.#askedAtMs === undefined) return false
    this.#waiting.add(go)
    return true
  }

  #goOn(): void {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const go of waiting) go()
  }

  #learn(rows: Rows, askedAtMs: number): void {
    const trusted = new Set(this.#options().trustedFunctions)
    this.#catalogue = new Catalogue(rows, askedAtMs, (name) => trusted.has(name))
    this.#isOld = false
    this.hasChanged = true
  }
}

export class SessionKnowledge {
  readonly #clock: Clock
  readonly options: () => SessionOptions
  readonly #databases = new Map<string, DatabaseKnowledge>()
  readonly #names = new Set<string>()

  constructor(clock: Clock, options: () => SessionOptions) {
    this.#clock = clock
    this.options = options
  }

  of(database: string): DatabaseKnowledge {
    const known = this.#databases.get(database) ?? new DatabaseKnowledge(this.#clock, this.options)
    this.#databases.set(database, known)
    return known
  }

  /** Whether there was a change since this was asked last. */
  takeChanged(): boolean {
    const changed = [...this.#databases.values()].filter(({ hasChanged }) => hasChanged)
    for (const database of changed) database.hasChanged = false
    return changed.length > 0
  }

  /** The custom settings that a session is asked for, its own among them. */
  namesFor(own: ReadonlySet<string>, database: DatabaseKnowledge): Set<string> {
    for (const name of own) if (this.#names.size < NAMES_MAX) this.#names.add(name)
    const spoken = database.catalogue?.customNames ?? []
    return new Set([...own, ...this.#names, ...this.options().customSettings, ...[...spoken].slice(0, NAMES_MAX)])
  }
}
