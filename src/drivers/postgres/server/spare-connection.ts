/**
 * A full server is not a dead one. When every connection is taken, those reserved for superusers as well, PostgreSQL
 * refuses each new one with 53300, also ours: a probe that needs a fresh one would call a server dead that serves a
 * hundred clients. So one connection is kept open from the first good probe on, and is used when no other can be had.
 */
import type pg from 'pg'
import type { Clock } from '../../../lib/clock.ts'
import { destroy, isFull, localClient, type OwnSocket, within } from './admin-session.ts'

export class SpareConnection {
  readonly #clock: Clock
  readonly #open: () => pg.Client
  #kept: pg.Client | undefined
  readonly #lost = () => {
    this.#kept = undefined
  }

  /** `open`: a connection that is not made yet. */
  constructor(clock: Clock, socket: () => OwnSocket, open = () => localClient(socket())) {
    this.#clock = clock
    this.#open = open
  }

  /** A fresh connection; the one that is kept when the server is full. `giveBack` it. */
  async connect(withinMs: number): Promise<pg.Client> {
    const client = this.#open()
    try {
      await within(this.#clock, withinMs, 'a connection', client.connect())
      return client
    } catch (error) {
      destroy(client)
      const kept = isFull(error) ? this.take() : undefined
      if (kept === undefined) throw error
      return kept
    }
  }

  /** The one that is kept, and from now on is not. */
  take(): pg.Client | undefined {
    const kept = this.#kept
    kept?.off('end', this.#lost)
    this.#kept = undefined
    return kept
  }

  /** `isGood`: nothing is under way on it. It is kept when none is. */
  giveBack(client: pg.Client, isGood: boolean): void {
    if (!isGood || this.#kept !== undefined) return destroy(client)
    this.#kept = client
    client.once('end', this.#lost)
  }

  close(): void {
    const kept = this.take()
    if (kept) destroy(kept)
  }
}
