/**
 * The journal and the receipts on disk: one JSON record per line, those of this node only, so that what led to a death can
 * be read after it. Written in the background and never waited for: a full disk must not stop an agent from acting. Two
 * files of bounded size each.
 */
import { readFileSync } from 'node:fs'
import { appendFile, rename, stat } from 'node:fs/promises'

const MAX_BYTES = 4 * 1024 * 1024
const LOOK_EVERY = 200

export class RecordFile<T> {
  readonly #path: string
  #writing: Promise<void> = Promise.resolve()
  #written = 0

  constructor(path: string) {
    this.#path = path
  }

  append(record: T): void {
    this.#writing = this.#writing
      .then(() => appendFile(this.#path, `${JSON.stringify(record)}\n`, { mode: 0o600 }))
      .then(() => this.#turnOver())
      .catch(() => undefined) // a full disk: the record is still in memory and on the other nodes
  }

  /** The last records, oldest first. A line that was cut off by a crash is left out. */
  last(count: number): T[] {
    return this.#lines()
      .slice(-count)
      .flatMap((line) => {
        try {
          return [JSON.parse(line) as T]
        } catch {
          return [] // cut off half way
        }
      })
  }

  #lines(): string[] {
    try {
      return readFileSync(this.#path, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
    } catch {
      return [] // nothing was written yet
    }
  }

  async #turnOver(): Promise<void> {
    this.#written += 1
    if (this.#written % LOOK_EVERY !== 1) return
    if ((await stat(this.#path)).size > MAX_BYTES) await rename(this.#path, `${this.#path}.1`)
  }
}
