/**
 * Opening the store of this machine's agents: make it when there is none, refuse whatever is not one, and never write a
 * byte to a file that this program does not understand. Every error says the path and what to do.
 */
import { closeSync, mkdirSync, openSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { UnderstudyError } from '../../errors.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import type { Store } from '../store.ts'
import { whenFree } from './busy.ts'
import { Connection } from './connection.ts'
import { EmbeddedStore } from './embedded.ts'
import { bootId } from './leases.ts'
import { lookBefore } from './look.ts'
import { refuseNetworkDisk } from './network-disk.ts'
import { APPLICATION_ID, CREATE, FORMAT } from './schema.ts'
import { damaged, isWritable, lockedOut, readOnly } from './troubles.ts'

export interface EmbeddedOptions {
  /** The file. It and its folder are made when they are not there; its journal lies beside it. */
  readonly path: string
  readonly clock: Clock
  readonly random: Random
  /**
   * How long a call waits for the file's lock before it rejects with UND_STORE_AWAY, in milliseconds. Default 1500: far
   * above what contention costs (a few ms), and short enough for a caller that has a lease to lose.
   */
  readonly waitMs?: number
  /** Which boot of the machine this is; only tests say so. */
  readonly boot?: string
}

/**
 * Rejects with UND_STORE_DAMAGED, UND_STORE_READ_ONLY, UND_STORE_FULL, UND_STORE_AWAY (locked, or the disk fails) or
 * UND_REFUSED (the place is on a network file system).
 */
export async function openEmbeddedStore(options: EmbeddedOptions): Promise<Store> {
  const { path, clock, random, waitMs = 1_500, boot = bootId() } = options
  makeFolder(path)
  refuseNetworkDisk(path)
  makeFile(path)
  lookBefore(path)
  const file = new Connection(path)
  try {
    await whenFree(
      { clock, random, limitMs: waitMs },
      () => prepare(file),
      () => lockedOut(path, waitMs),
    )
  } catch (error) {
    file.close()
    throw error
  }
  return new EmbeddedStore(file, { clock, random, waitMs, boot })
}

/** One attempt at making sure that the file is a store we understand and can write. Throws Busy. */
function prepare(file: Connection): void {
  file.configure()
  if (file.reading(() => isNew(file))) create(file)
  file.reading(() => verify(file))
  if (!isWritable(file.path) || !isWritable(dirname(file.path))) throw readOnly(file.path)
}

function create(file: Connection): void {
  file.writing(() => {
    const stillNew = isNew(file) // another agent may have been first
    if (stillNew) file.exec(CREATE)
    return { answer: undefined, keep: stillNew }
  })
}

function isNew(file: Connection): boolean {
  const untouched = number(file, 'PRAGMA application_id') === 0 && number(file, 'PRAGMA user_version') === 0
  return untouched && number(file, 'SELECT count(*) FROM sqlite_master') === 0
}

function verify(file: Connection): void {
  if (number(file, 'PRAGMA application_id') !== APPLICATION_ID) {
    throw damaged(file.path, 'it is a database of another program')
  }
  const format = number(file, 'PRAGMA user_version')
  if (format > FORMAT) throw tooNew(file.path, format)
  // SQLite fills up with zeros what is missing of the last page, and goes on.
  const missing = number(file, 'PRAGMA page_count') * number(file, 'PRAGMA page_size') - statSync(file.path).size
  if (missing !== 0)
    throw damaged(file.path, missing > 0 ? `${missing} bytes are missing at its end` : 'it is too long')
  // Reads the whole file, which is some pages: a store that is wrong somewhere is not half used.
  const found = file.rows('PRAGMA quick_check').map((row) => String(row[0]))
  if (found.length !== 1 || found[0] !== 'ok') throw damaged(file.path, found.slice(0, 3).join('; '))
}

function tooNew(path: string, format: number): UnderstudyError {
  const message =
    `the store ${path} was written by a newer version of Understudy (format ${format}; this version knows ${FORMAT}). ` +
    'It was left as it is: update Understudy on this machine'
  return new UnderstudyError('UND_STORE_DAMAGED', message)
}

function number(file: Connection, sql: string): number {
  return Number(file.rows(sql)[0]?.[0])
}

function makeFolder(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true })
  } catch (cause) {
    throw notMade(path, cause)
  }
}

/** Ours alone to read: it says who leads what. Does nothing to a file that is there. */
function makeFile(path: string): void {
  try {
    closeSync(openSync(path, 'a', 0o600))
  } catch (cause) {
    throw notMade(path, cause)
  }
}

function notMade(path: string, cause: unknown): UnderstudyError {
  const { code } = cause as NodeJS.ErrnoException
  if (code === 'EISDIR') return damaged(path, 'it is a folder', cause)
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new UnderstudyError('UND_STORE_FULL', `the disk is full: the store ${path} cannot be made`, { cause })
  }
  return readOnly(path, cause)
}
