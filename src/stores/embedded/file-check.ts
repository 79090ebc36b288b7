/**
 * A look at the bytes before SQLite may touch them. SQLite would do some things to a file that is not ours: a database in
 * WAL mode gets two files beside it just by being read. Whatever is found, nothing is written here.
 */
import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { damaged, readOnly } from './sqlite-errors.ts'

const MAGIC = 'SQLite format 3\0'
/** Where SQLite's header says how the file is written: 1 is a rollback journal, 2 is WAL (sqlite.org/fileformat2.html). */
const WRITE_VERSION_AT = 18

/** Throws when the file is there and cannot be a store. A file of no length is a store that was never written. */
export function lookBefore(path: string): void {
  const found = statSync(path, { throwIfNoEntry: false })
  if (!found || (found.isFile() && found.size === 0)) return
  if (!found.isFile()) throw damaged(path, 'it is not a file')
  // A journal in use says that the bytes are in between: SQLite brings them in order first, then they are checked.
  if (firstBytes(`${path}-journal`, 1)[0]) return
  const head = firstBytes(path, 100)
  if (head.toString('latin1', 0, MAGIC.length) !== MAGIC) throw damaged(path, 'it does not begin as one')
  if (head[WRITE_VERSION_AT] !== 1) throw damaged(path, 'it was switched to WAL mode')
}

function firstBytes(path: string, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  let file: number
  try {
    file = openSync(path, 'r')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return bytes
    throw readOnly(path, cause)
  }
  try {
    readSync(file, bytes, 0, length, 0)
    return bytes
  } finally {
    closeSync(file)
  }
}
