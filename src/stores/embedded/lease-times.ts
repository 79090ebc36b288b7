/**
 * When each lease ends, in a file of its own beside the store (`store.db-leases`): 16 bytes for each lease, its number and
 * its end on this boot's monotonic clock, overwritten in place and never synced. docs/decisions/0006 has the argument; in
 * short: a renewal must be seen by the other processes of this machine at once, which the kernel's page cache grants, also
 * after kill -9 of the writer. It need not outlive the machine: with the machine all holders end, and every lease of
 * another boot has ended. So a renewal writes no page of SQLite and waits for no disk.
 *
 * The invariants:
 * - It is read and written only under the lock of the store's file, exclusive for writing, as everything else is.
 * - A missing, replaced or unreadable file never shortens a lease. `complete`, at each opening, gives every lease without an
 *   end a full time from now: no holder believes in more. Handles that have the earlier file open notice and refuse.
 */
import { closeSync, constants, fstatSync, openSync, readSync, statSync, writeSync } from 'node:fs'
import { UnderstudyError } from '../../errors.ts'
import { damaged, notMade, readOnly, replaced } from './sqlite-errors.ts'

const RECORD_BYTES = 16
/** The file grows by a page, 256 leases: a cluster of seven nodes needs seven. */
const PAGE_BYTES = 4_096

export class LeaseTimes {
  readonly path: string
  readonly #file: number
  readonly #identity: string
  #bytes = Buffer.alloc(0)

  /** Opens or makes the file. An empty one knows no lease: `complete` it. */
  constructor(storePath: string) {
    this.path = `${storePath}-leases`
    try {
      this.#file = openSync(this.path, constants.O_RDWR | constants.O_CREAT, 0o600)
    } catch (cause) {
      throw notMade(this.path, cause)
    }
    const { dev, ino } = fstatSync(this.#file)
    this.#identity = `${dev}:${ino}`
  }

  /** Reads all ends. First thing under the lock. */
  load(): void {
    const found = statSync(this.path, { throwIfNoEntry: false })
    if (!found || `${found.dev}:${found.ino}` !== this.#identity) throw replaced(this.path)
    if (this.#bytes.length !== found.size) this.#bytes = Buffer.alloc(found.size)
    readSync(this.#file, this.#bytes, 0, found.size, 0)
  }

  /** When the lease ends; undefined when this file does not know it. */
  find(slot: number, number: number): number | undefined {
    const at = slot * RECORD_BYTES
    if (at + RECORD_BYTES > this.#bytes.length || this.#bytes.readDoubleLE(at) !== number) return undefined
    const endsAt = this.#bytes.readDoubleLE(at + 8)
    return Number.isFinite(endsAt) ? endsAt : undefined
  }

  /** The same for a lease that must be known. */
  endsAt(slot: unknown, number: unknown): number {
    const endsAt = this.find(Number(slot), Number(number))
    if (endsAt === undefined) throw damaged(this.path, `it does not know the lease ${number}`)
    return endsAt
  }

  /** Takes the room for the first page of leases, unless it has it. Only under the exclusive lock. */
  reserve(): void {
    try {
      if (this.#bytes.length < PAGE_BYTES) this.#grow(PAGE_BYTES)
    } catch (cause) {
      throw notWritten(this.path, cause)
    }
  }

  /** Only under the exclusive lock. */
  write(slot: number, number: number, endsAt: number): void {
    const at = slot * RECORD_BYTES
    try {
      if (at + RECORD_BYTES > this.#bytes.length) this.#grow(at + RECORD_BYTES)
      this.#bytes.writeDoubleLE(number, at)
      this.#bytes.writeDoubleLE(endsAt, at + 8)
      writeSync(this.#file, this.#bytes, at, RECORD_BYTES, at)
    } catch (cause) {
      throw notWritten(this.path, cause)
    }
  }

  close(): void {
    closeSync(this.#file)
  }

  #grow(bytes: number): void {
    const size = Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES
    const grown = Buffer.concat([this.#bytes], size)
    writeSync(this.#file, grown, 0, size, 0) // not a hole: its room is taken now, so that a full disk stops no renewal later
    this.#bytes = grown
  }
}

function notWritten(path: string, cause: unknown): UnderstudyError {
  const { code } = cause as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new UnderstudyError('UND_STORE_FULL', `the disk is full: no lease can be renewed in ${path}`, { cause })
  }
  if (code === 'EROFS' || code === 'EACCES' || code === 'EPERM') return readOnly(path, cause)
  return new UnderstudyError('UND_STORE_AWAY', `the disk failed: ${path} cannot be written (${code})`, { cause })
}
