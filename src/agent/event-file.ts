/**
 * The journal on disk: one event per line, own events only, so that what led to a death can be read after it. Written in
 * the background and never waited for: a full disk must not stop an agent from acting. Two files of bounded size.
 */
import { appendFile, rename, stat } from 'node:fs/promises'
import type { EventRecord } from '../api/contract.ts'

const MAX_BYTES = 4 * 1024 * 1024
const LOOK_EVERY = 200

export class EventFile {
  readonly #path: string
  #writing: Promise<void> = Promise.resolve()
  #written = 0

  constructor(path: string) {
    this.#path = path
  }

  append(event: EventRecord): void {
    this.#writing = this.#writing
      .then(() => appendFile(this.#path, `${JSON.stringify(event)}\n`, { mode: 0o600 }))
      .then(() => this.#turnOver())
      .catch(() => undefined) // a full disk: the event is still in memory and on the other nodes
  }

  async #turnOver(): Promise<void> {
    this.#written += 1
    if (this.#written % LOOK_EVERY !== 1) return
    if ((await stat(this.#path)).size > MAX_BYTES) await rename(this.#path, `${this.#path}.1`)
  }
}
