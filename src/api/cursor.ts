/**
 * Where a reader of events is. Events are numbered by the agent that they happened to: `a-RUN-17` is the 17th of node a
 * since its agent started as RUN. Every agent hears them in an order of its own, so "the last event" is no place to
 * resume from at another agent: a reader's place is the highest number that it saw of each source, `a-RUN-17,b-RUN-4`.
 * With that any agent can go on where another one broke off, with nothing left out and nothing told twice.
 *
 * A source that was restarted is a new one. Of those that fell silent only the latest are remembered: what is older is
 * no longer kept anywhere, so it cannot be told twice.
 */
import type { EventRecord } from './api-types.ts'

const MOST_SOURCES = 64

export class Cursor {
  readonly #seen = new Map<string, number>()

  /** Reads what `toString` wrote. Parts that make no sense are left out: the reader then sees too much, never too little. */
  static parse(text: string): Cursor {
    const cursor = new Cursor()
    for (const part of text.split(',')) cursor.#see(part.trim())
    return cursor
  }

  /** Notes the event as seen; false when it was seen before. */
  pass(event: EventRecord): boolean {
    return this.#see(event.id)
  }

  toString(): string {
    return [...this.#seen].map(([source, number]) => `${source}-${number}`).join(',')
  }

  #see(id: string): boolean {
    const match = /^(.+)-(\d{1,15})$/.exec(id)
    if (!match) return id !== ''
    const [, source = '', number = ''] = match
    if ((this.#seen.get(source) ?? -1) >= Number(number)) return false
    this.#seen.delete(source) // so that it is set anew, behind the others: the first is the one silent for longest
    this.#seen.set(source, Number(number))
    if (this.#seen.size > MOST_SOURCES) this.#seen.delete(this.#seen.keys().next().value ?? '')
    return true
  }
}
