/**
 * A standby must never run with less than its primary. It tracks every transaction, lock and prepared transaction of the primary
 * in arrays of a fixed size, so for five settings it needs at least the primary's value: with less, PostgreSQL refuses to start a
 * standby, pauses the replay of a running one (from 14) or ends it (13), and neither can be promoted.
 *
 * Three places say how much is needed. The control file holds the values of the newest XLOG_PARAMETER_CHANGE record that was
 * replayed here, also when that record is what replay stopped at. The primary says what it runs with. And what lies in
 * the data folder (slots, prepared transactions) needs room on a primary as well. What the files configure is raised to the
 * greatest of these on the command line, which wins over postgresql.auto.conf; it is never lowered.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { settingsInFiles } from '../files/setting-files.ts'

/** PostgreSQL's defaults, for what no file names. The first five are those that a standby needs at least as much of. */
const DEFAULTS = {
  max_connections: 100,
  max_worker_processes: 8,
  max_wal_senders: 10,
  max_prepared_transactions: 0,
  max_locks_per_transaction: 64,
  max_replication_slots: 10,
} as const

export type CapacityName = keyof typeof DEFAULTS
export type Capacity = Readonly<Partial<Record<CapacityName, number>>>

/** In the order in which they stand in the control file. */
export const NEEDED_OF_PRIMARY = [
  'max_connections',
  'max_worker_processes',
  'max_wal_senders',
  'max_prepared_transactions',
  'max_locks_per_transaction',
] as const satisfies readonly CapacityName[]

/** What a server of ours has of them where the config does not say (server-settings.ts raises the last two). */
export const PRESET_CAPACITY = { ...DEFAULTS, max_wal_senders: 16, max_replication_slots: 16 } as const

export const CAPACITY_NAMES = Object.keys(DEFAULTS) as CapacityName[]

/** SQL for a list of `select`: the five as one JSON text. */
export const CAPACITY_JSON = `json_build_object(${NEEDED_OF_PRIMARY.map((name) => `'${name}', current_setting('${name}')::int`).join(', ')})::text`

export function parseCapacity(text: unknown): Capacity {
  try {
    const read: unknown = JSON.parse(String(text))
    const entries = CAPACITY_NAMES.map((name) => [name, (read as Record<string, unknown>)[name]])
    return Object.fromEntries(entries.filter(([, value]) => Number.isInteger(value)))
  } catch {
    return {} // an answer of another kind says nothing about what is needed
  }
}

/** The greatest of all, name by name. */
export function greatest(...all: readonly Capacity[]): Capacity {
  const pairs = CAPACITY_NAMES.flatMap((name) => {
    const values = all.flatMap((one) => one[name] ?? [])
    return values.length === 0 ? [] : [[name, Math.max(...values)]]
  })
  return Object.fromEntries(pairs)
}

/** What must be raised, and to what: needed, and more than is configured. */
export function toRaise(needed: Capacity, configured: Capacity): Capacity {
  const pairs = CAPACITY_NAMES.flatMap((name) => {
    const least = needed[name] ?? 0
    return least > (configured[name] ?? DEFAULTS[name]) ? [[name, least]] : []
  })
  return Object.fromEntries(pairs)
}

/** A sentence about what is less than needed; null: nothing is. Pass what is in force: what is not said counts as enough. */
export function shortfall(needed: Capacity, inForce: Capacity): string | null {
  const less = CAPACITY_NAMES.filter((name) => (needed[name] ?? 0) > (inForce[name] ?? Number.POSITIVE_INFINITY))
  if (less.length === 0) return null
  return less.map((name) => `${name} is ${inForce[name]} here and ${needed[name]} on the primary`).join(', ')
}

/** For the postmaster's command line. `asStandby`: it replays another server's WAL. */
export function capacityArguments(dataDir: string, asStandby: boolean, ofPrimary: Capacity): string[] {
  const needed = greatest(onDisk(dataDir), ...(asStandby ? [inControlFile(dataDir), ofPrimary] : []))
  return Object.entries(toRaise(needed, inFiles(dataDir))).flatMap(([name, value]) => ['-c', `${name}=${value}`])
}

/** With what a server on this folder would be started now: what the files say, and what it has at the least. */
export function afterRestart(dataDir: string, asStandby: boolean): { configured: Capacity; least: Capacity } {
  return {
    configured: { ...DEFAULTS, ...inFiles(dataDir) },
    least: greatest(onDisk(dataDir), asStandby ? inControlFile(dataDir) : {}),
  }
}

function inFiles(dataDir: string): Capacity {
  const settings = settingsInFiles(dataDir)
  const pairs = CAPACITY_NAMES.flatMap((name) => {
    const value = Number(settings.get(name))
    return Number.isInteger(value) ? [[name, value]] : []
  })
  return Object.fromEntries(pairs)
}

function onDisk(dataDir: string): Capacity {
  return {
    max_replication_slots: countIn(join(dataDir, 'pg_replslot')),
    max_prepared_transactions: countIn(join(dataDir, 'pg_twophase')),
  }
}

function countIn(folder: string): number {
  try {
    return readdirSync(folder).length
  } catch {
    return 0 // repaired or complained about elsewhere: there is nothing that would need room
  }
}

/** What the newest replayed XLOG_PARAMETER_CHANGE says; empty when the file cannot be read or understood. */
export function inControlFile(dataDir: string): Capacity {
  try {
    return parseControlFile(readFileSync(join(dataDir, 'global', 'pg_control')))
  } catch {
    return {} // the server will say what is wrong with it
  }
}

/** The database system's own number, first in the control file; null when that cannot be read. */
export function systemIdIn(dataDir: string): string | null {
  try {
    return readFileSync(join(dataDir, 'global', 'pg_control'))
      .readBigUInt64LE(0)
      .toString()
  } catch {
    return null // not there, or too short: then nothing is known of what this is
  }
}

/** It stands in every control file, so that PostgreSQL recognises one of another architecture (FLOATFORMAT_VALUE). */
const FLOAT_FORMAT = 1_234_567
/** MAXIMUM_ALIGNOF of every 64-bit system. */
const MAX_ALIGN = 8

/**
 * The packaged PostgreSQL has no pg_controldata, and the offsets differ between versions. What comes before the float's constant
 * does not (13 to 18): int wal_level, bool wal_log_hints, the five, bool track_commit_timestamp, uint32 maxAlign.
 */
export function parseControlFile(file: Buffer): Capacity {
  for (let at = 40; at + 8 <= Math.min(file.length, 512); at += 8) {
    if (file.readDoubleLE(at) !== FLOAT_FORMAT) continue
    const align = [at - 4, at - 8].find((offset) => file.readUInt32LE(offset) === MAX_ALIGN)
    if (align === undefined) return {}
    const first = align - 4 - 4 * NEEDED_OF_PRIMARY.length
    return Object.fromEntries(NEEDED_OF_PRIMARY.map((name, index) => [name, file.readInt32LE(first + 4 * index)]))
  }
  return {}
}
