/**
 * What SQLite says, in our words: the code, the path, what to do. The rule behind each line: a caller may only be told
 * "not done" when that is certain.
 */
import { accessSync, constants } from 'node:fs'
import { dirname } from 'node:path'
import { UnderstudyError } from '../../errors.ts'
import { Busy } from './busy.ts'
import { describeLockHolder } from './lock-holder.ts'

/** When it went wrong: before the commit began nothing can have been done. */
export type Phase = 'before commit' | 'commit'

export function translate(error: unknown, path: string, phase: Phase): Error {
  if (error instanceof UnderstudyError || error instanceof Busy) return error
  const code = sqliteCode(error)
  if (code === undefined) return error as Error // a bug of ours (an AssertionError, a TypeError): not the file's fault
  if (isOneOf(code, 'BUSY', 'LOCKED')) return new Busy(code, { cause: error })
  if (code === 'SQLITE_READONLY_DBMOVED') return replaced(path, error)
  if (isOneOf(code, 'CORRUPT', 'NOTADB', 'FORMAT', 'SCHEMA', 'MISMATCH', 'CONSTRAINT', 'ERROR')) {
    return damaged(path, (error as Error).message, error)
  }
  if (isOneOf(code, 'FULL')) {
    const message = `the disk is full, nothing was written to the store ${path}: make room on it, it goes on by itself`
    return new UnderstudyError('UND_STORE_FULL', message, { cause: error })
  }
  if (isOneOf(code, 'READONLY', 'CANTOPEN', 'PERM', 'AUTH') && phase === 'before commit') return readOnly(path, error)
  if (phase === 'commit') {
    const message = `the disk failed while a change was written to the store ${path}: it may or may not have happened`
    return new UnderstudyError('UND_STORE_UNKNOWN', message, { cause: error })
  }
  const message = `the store ${path} cannot be used now (${code}: ${(error as Error).message}); nothing was changed`
  return new UnderstudyError('UND_STORE_AWAY', message, { cause: error })
}

export function damaged(path: string, what: string, cause?: unknown): UnderstudyError {
  const message =
    `the file ${path} is not a usable store (${what}). It was left as it is. ` +
    'What runs goes on. Copy a backup over it, or “understudy down”, remove it, “understudy up” (docs/store.md)'
  return new UnderstudyError('UND_STORE_DAMAGED', message, { cause })
}

export function replaced(path: string, cause?: unknown): UnderstudyError {
  const message =
    `the file ${path} was moved, removed or replaced while agents used it: put it back, ` +
    'or “understudy down”, then “understudy up”'
  return new UnderstudyError('UND_STORE_DAMAGED', message, { cause })
}

export function readOnly(path: string, cause?: unknown): UnderstudyError {
  const where = isWritable(dirname(path)) ? path : `the folder ${dirname(path)}`
  const message =
    `${where} cannot be written by this user (uid ${process.getuid?.()}): give it write permission, or choose ` +
    'another place for the store. Both the file and its folder must be writable'
  return new UnderstudyError('UND_STORE_READ_ONLY', message, { cause })
}

/** A file of the store that is not there and cannot be made. */
export function notMade(path: string, cause: unknown): UnderstudyError {
  const { code } = cause as NodeJS.ErrnoException
  if (code === 'EISDIR') return damaged(path, 'it is a folder', cause)
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new UnderstudyError('UND_STORE_FULL', `the disk is full: the store ${path} cannot be made`, { cause })
  }
  return readOnly(path, cause)
}

export function lockedOut(path: string, waitMs: number): UnderstudyError {
  const message = `the store ${path} was locked for more than ${waitMs} ms${describeLockHolder(path)}`
  return new UnderstudyError('UND_STORE_AWAY', message)
}

export function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK)
    return true
  } catch {
    return false // absent, forbidden or on a read-only file system: all the same to a writer
  }
}

function sqliteCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code
  return typeof code === 'string' && code.startsWith('SQLITE_') ? code : undefined
}

/** SQLITE_IOERR and SQLITE_IOERR_WRITE are both of the kind IOERR. */
function isOneOf(code: string, ...kinds: string[]): boolean {
  return kinds.some((kind) => code === `SQLITE_${kind}` || code.startsWith(`SQLITE_${kind}_`))
}
