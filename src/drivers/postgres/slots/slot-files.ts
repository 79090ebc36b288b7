/** Replication slots on the disk of a replica, and what it remembers about them (<base>/slots.json). */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { readJson, writeFileAtomic } from '../../../lib/files.ts'
import type { Folder } from '../files/replica-folder.ts'
import { formatLsn, parseWalName } from '../server/wal-position.ts'
import { NO_SLOTS, type SlotMemory } from './logical-slots.ts'

/** PostgreSQL's own rule. Anything else in that folder is none, and no path is made of it. */
const NAME = /^[a-z0-9_]{1,63}$/
/** In a state file: after magic, checksum, version, length and the name (ReplicationSlotOnDisk); 0: a physical slot. */
const DATABASE_AT = 16 + 64
/** After the database, what becomes of the slot, and its two oldest transactions (versions 13 to 16). */
const RESTART_AT = DATABASE_AT + 16

const folderOf = (dataDir: string, name: string) => join(dataDir, 'pg_replslot', name)

/** Logical slots in the data folder of a server that does not run. */
export function logicalSlotsIn(dataDir: string): string[] {
  return namesIn(dataDir).filter((name) => {
    try {
      return readFileSync(join(folderOf(dataDir, name), 'state')).readUInt32LE(DATABASE_AT) !== 0
    } catch {
      return false // a slot that was being made or dropped: the server removes it
    }
  })
}

function namesIn(dataDir: string): string[] {
  try {
    return readdirSync(join(dataDir, 'pg_replslot')).filter((name) => NAME.test(name))
  } catch {
    return [] // no data, or none that has slots
  }
}

export function removeSlotFiles(dataDir: string, names: readonly string[]): void {
  for (const name of names) if (NAME.test(name)) rmSync(folderOf(dataDir, name), { recursive: true, force: true })
}

export interface SlotState {
  readonly state: Buffer
  /** What decoding begins with; null: the primary has none for it (yet). */
  readonly snapshot: Buffer | null
}

/** Writes the files of a slot as the primary has them, for a server that does not run. On the disk when it returns. */
export function placeSlot(folder: Folder, name: string, { state, snapshot }: SlotState): void {
  if (!NAME.test(name)) return
  const path = folderOf(folder.data, name)
  rmSync(path, { recursive: true, force: true })
  mkdirSync(path, { mode: 0o700 })
  folder.own(path)
  writeOwn(folder, join(path, 'state'), state)
  if (snapshot) writeOwn(folder, join(folder.data, snapshotOf(restartIn(state))), snapshot)
  for (const parent of [path, join(folder.data, 'pg_replslot')]) syncFolder(parent)
}

/** Where the state file of a slot says that decoding begins. */
export function restartIn(state: Buffer): bigint {
  return state.readBigUInt64LE(RESTART_AT)
}

/** In a data folder, the snapshot that decoding begins with. */
export function snapshotOf(restart: bigint): string {
  return `pg_logical/snapshots/${formatLsn(restart).replace('/', '-')}.snap`
}

export function hasSnapshot(dataDir: string, restart: bigint | null): boolean {
  return restart !== null && existsSync(join(dataDir, snapshotOf(restart)))
}

function writeOwn(folder: Folder, path: string, content: Buffer): void {
  const file = openSync(path, 'w', 0o600)
  try {
    writeSync(file, content)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  folder.own(path)
}

function syncFolder(path: string): void {
  const file = openSync(path, 'r')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/**
 * One that cannot be read says that no slot is known to be right: they are dropped in a promotion, which must not wait for this file.
 */
export function readSlotMemory(folder: Folder): SlotMemory {
  const names = (list: unknown) => (Array.isArray(list) ? list.map(String) : [])
  try {
    const read = readJson(folder.slotsPath) as Partial<SlotMemory> | undefined
    return read ? { ours: names(read.ours), ready: names(read.ready) } : NO_SLOTS
  } catch {
    return NO_SLOTS // the next look writes it anew
  }
}

/** Written when it changed. */
export function keepSlotMemory(folder: Folder, memory: SlotMemory): void {
  if (JSON.stringify(readSlotMemory(folder)) === JSON.stringify(memory)) return
  writeFileAtomic(folder.slotsPath, `${JSON.stringify(memory)}\n`)
}

/** Another primary is followed from now on: what its slots hold back is not known yet. */
export function doubtSlots(folder: Folder): void {
  keepSlotMemory(folder, { ...readSlotMemory(folder), ready: [] })
}

/** Where the oldest WAL in a data folder begins. */
export function oldestWalIn(dataDir: string, segmentBytes: bigint): bigint {
  const segments = readdirSync(join(dataDir, 'pg_wal')).flatMap(
    (name) => parseWalName(name, segmentBytes)?.segment ?? [],
  )
  return segments.reduce((least, segment) => (segment < least ? segment : least), segments[0] ?? 0n) * segmentBytes
}

/**
 * A server that does not decode refuses to start while it has a logical slot. For a standby, whose slots are copies: when the config
 * does not ask for decoding any more, they go. An operator who asked for it with ALTER SYSTEM keeps them.
 */
export function removeSlotsOfNoUse(dataDir: string, decodes: boolean): void {
  if (decodes) return
  let altered = ''
  try {
    altered = readFileSync(join(dataDir, 'postgresql.auto.conf'), 'utf8')
  } catch {
    // ALTER SYSTEM was never used.
  }
  if (!/^\s*wal_level\b/im.test(altered)) removeSlotFiles(dataDir, logicalSlotsIn(dataDir))
}
