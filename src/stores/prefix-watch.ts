/**
 * One watcher and what it was last told: decides what is news to it. Every adapter reads the whole map now and then, in
 * order, and shows it to each of these; the watcher hears of it only when something under its prefix is different.
 *
 * A key's revision is new with each write, so keys and revisions together say whether anything is different: values
 * need not be compared.
 */
import type { Entry, Snapshot, Watcher } from './store.ts'

export class PrefixWatch {
  readonly #prefix: string
  readonly #watcher: Watcher
  /** What it was last told, as keys and revisions; undefined when it was told nothing yet, or that the store is away. */
  #told: string | undefined
  #isAway = false
  #stopped = false

  constructor(prefix: string, watcher: Watcher) {
    this.#prefix = prefix
    this.#watcher = watcher
  }

  show(whole: Snapshot): void {
    if (this.#stopped) return
    const entries = withPrefix(whole.entries, this.#prefix)
    const seen = [...entries].map(([key, entry]) => `${key} ${entry.revision}`).join('\n')
    if (seen === this.#told) return
    this.#told = seen
    this.#isAway = false
    this.#watcher.changed(Object.freeze({ revision: whole.revision, entries }))
  }

  showAway(error: Error): void {
    if (this.#stopped || this.#isAway) return
    this.#told = undefined
    this.#isAway = true
    this.#watcher.away(error)
  }

  /** Has it something to hear even if nothing changed? */
  get isWaiting(): boolean {
    return this.#told === undefined
  }

  stop(): void {
    this.#stopped = true
  }
}

export function withPrefix(entries: ReadonlyMap<string, Entry>, prefix: string): ReadonlyMap<string, Entry> {
  if (prefix === '') return entries
  return new Map([...entries].filter(([key]) => key.startsWith(prefix)))
}
