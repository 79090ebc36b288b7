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
import { EmbeddedStore } from './embedded.ts'
import { lookBefore } from './file-check.ts'
import { bootId, completeTimes, type Moment } from './lease-clock.ts'
import { LeaseTimes } from './lease-times.ts'
import { refuseNetworkDisk } from './network-disk.ts'
import { APPLICATION_ID, CREATE, FORMAT, FROM_1_TO_2, LIVING_OF_1 } from './schema.ts'
import { Connection } from './sqlite-connection.ts'
import { damaged, isWritable, lockedOut, notMade, readOnly } from './sqlite-errors.ts'

export interface EmbeddedOptions {
  /** The file. It and its folder are made when they are not there; its journal and its lease times lie beside it. */
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
  const moment = () => ({ boot, now: clock.mono() })
  try {
    const times = await whenFree(
      { clock, random, limitMs: waitMs },
      () => prepare(file, moment),
      () => lockedOut(path, waitMs),
    )
    return new EmbeddedStore(file, times, { clock, random, waitMs, boot })
  } catch (error) {
    file.close()
    throw error
  }
}

/** One attempt at making sure that the file is a store we understand and can write. Throws Busy. */
function prepare(file: Connection, moment: () => Moment): LeaseTimes {
  file.configure()
  if (file.reading(() => isNew(file))) create(file)
  if (file.reading(() => verify(file)) < FORMAT) bringToFormat2(file, moment)
  if (!isWritable(file.path) || !isWritable(dirname(file.path))) throw readOnly(file.path)
  return file.alone(() => openTimes(file, moment))
}

function openTimes(file: Connection, moment: () => Moment): LeaseTimes {
  const times = new LeaseTimes(file.path)
  try {
    times.load()
    times.reserve()
    completeTimes({ file, times }, moment())
    return times
  } catch (error) {
    times.close()
    throw error
  }
}

/** Not while an agent of the earlier version holds a lease: it would not see when ours end, nor we when its own do. */
function bringToFormat2(file: Connection, moment: () => Moment): void {
  file.writing(() => {
    if (number(file, 'PRAGMA user_version') >= FORMAT) return { answer: undefined, keep: false }
    const { boot, now } = moment()
    if (Number(file.rows(LIVING_OF_1, boot, now)[0]?.[0]) > 0) throw inUseByOlder(file.path)
    file.exec(FROM_1_TO_2)
    return { answer: undefined, keep: true }
  })
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

/** Returns the file's format. */
function verify(file: Connection): number {
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
  return format
}

function inUseByOlder(path: string): UnderstudyError {
  const message =
    `agents of an older version of Understudy hold leases in the store ${path}. ` +
    'It was left as it is: end them with “understudy down”, then “understudy up”'
  return new UnderstudyError('UND_STORE_AWAY', message)
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
