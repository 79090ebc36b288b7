/**
 * Where a reader of events is. Events are numbered by the node that they happened on (`a-17`), and every agent hears them
 * in an order of its own. So "the last event" is no place to resume from at another agent: a reader's place is the
 * highest number that it saw of each node, `a-17,b-4`. With that any agent can go on where another one broke off,
 * with nothing left out and nothing told twice.
 *
 * The trap: this holds only because a node's numbers never go back, not even over a restart of its agent.
 */
import type { EventRecord } from './contract.ts'

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
    return [...this.#seen].map(([node, number]) => `${node}-${number}`).join(',')
  }

  #see(id: string): boolean {
    const match = /^(.+)-(\d{1,15})$/.exec(id)
    if (!match) return id !== ''
    const [, node = '', number = ''] = match
    const last = this.#seen.get(node)
    if (last !== undefined && last >= Number(number)) return false
    this.#seen.set(node, Number(number))
    return true
  }
}
