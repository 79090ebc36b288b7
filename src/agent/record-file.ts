/**
 * The journal and the receipts on disk: one JSON record per line, those of this node only, so that what led to a death can
 * be read after it. Written in the background and never waited for: a full disk must not stop an agent from acting. Two
 * files of bounded size each.
 *
 * Lines are only ever added. A line that is damaged or makes no sense is left out and left alone; a file that cannot be read
 * is an error, because a history that seems empty would be believed.
 */
import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs'
import { appendFile, rename, stat } from 'node:fs/promises'
import { isAbsent, unreadable } from '../lib/files.ts'

const MAX_BYTES = 4 * 1024 * 1024
const LOOK_EVERY = 200

export class RecordFile<T> {
  readonly #path: string
  readonly #isOne: (value: unknown) => value is T
  #writing: Promise<void> = Promise.resolve()
  #written = 0

  constructor(path: string, isOne: (value: unknown) => value is T) {
    this.#path = path
    this.#isOne = isOne
  }

  append(record: T): void {
    this.#writing = this.#writing
      .then(() => appendFile(this.#path, `${this.#opening()}${JSON.stringify(record)}\n`, { mode: 0o600 }))
      .then(() => this.#turnOver())
      .catch(() => undefined) // a full disk: the record is still in memory and on the other nodes
  }

  /** The last records, oldest first, without lines that are none. Throws UND_STATE_UNREADABLE when there is a file that cannot be read. */
  last(count: number): T[] {
    return this.#lines()
      .slice(-count)
      .flatMap((line) => {
        try {
          const record: unknown = JSON.parse(line)
          return this.#isOne(record) ? [record] : []
        } catch {
          return [] // a truncated line
        }
      })
  }

  #lines(): string[] {
    try {
      return readFileSync(this.#path, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
    } catch (error) {
      if (isAbsent(error)) return [] // nothing was written yet
      throw unreadable(this.#path, (error as Error).message, error)
    }
  }

  /** The first record of this agent begins a line of its own, also after a truncated one. */
  #opening(): string {
    return this.#written === 0 && endsWithin(this.#path) ? '\n' : ''
  }

  async #turnOver(): Promise<void> {
    this.#written += 1
    if (this.#written % LOOK_EVERY !== 1) return
    if ((await stat(this.#path)).size > MAX_BYTES) await rename(this.#path, `${this.#path}.1`)
  }
}

/** Does the file end in the middle of a line? */
function endsWithin(path: string): boolean {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch {
    return false // no file yet, or one that will not be written to either
  }
  try {
    const { size } = fstatSync(file)
    const last = Buffer.alloc(1)
    return size > 0 && readSync(file, last, 0, 1, size - 1) === 1 && last.toString() !== '\n'
  } finally {
    closeSync(file)
  }
}
