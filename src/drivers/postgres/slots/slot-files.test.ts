import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Folder } from '../files/replica-folder.ts'
import {
  doubtSlots,
  hasSnapshot,
  keepSlotMemory,
  logicalSlotsIn,
  oldestWalIn,
  placeSlot,
  readSlotMemory,
  removeSlotsOfNoUse,
  restartIn,
} from './slot-files.ts'

let root = ''
let folder: Folder

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'understudy-slots-'))
  folder = new Folder(join(root, 'nodes', 'a'), 'db', null, null)
  for (const name of ['pg_replslot', 'pg_wal', 'pg_logical/snapshots'])
    mkdirSync(join(folder.data, name), { recursive: true })
})

afterEach(() => rmSync(root, { recursive: true, force: true }))

/** The first fields of a state file of versions 13 to 16. */
function state(database: number, restart: bigint): Buffer {
  const file = Buffer.alloc(200)
  file.writeUInt32LE(database, 80)
  file.writeBigUInt64LE(restart, 96)
  return file
}

test('a slot is placed with the snapshot that decoding begins with, and told from a physical one', () => {
  placeSlot(folder, 'feed', { state: state(5, 0x1_0000_0a28n), snapshot: Buffer.from('s') })
  placeSlot(folder, 'understudy_b', { state: state(0, 0n), snapshot: null })
  placeSlot(folder, '../outside', { state: state(5, 0n), snapshot: null })
  expect(logicalSlotsIn(folder.data)).toEqual(['feed'])
  expect(readdirSync(folder.data).toSorted()).toEqual(['pg_logical', 'pg_replslot', 'pg_wal'])
  const placed = readFileSync(join(folder.data, 'pg_replslot', 'feed', 'state'))
  expect(restartIn(placed)).toBe(0x1_0000_0a28n)
  expect(readdirSync(join(folder.data, 'pg_logical', 'snapshots'))).toEqual(['1-A28.snap'])
  expect(hasSnapshot(folder.data, 0x1_0000_0a28n)).toBe(true)
  expect(hasSnapshot(folder.data, 0x1_0000_0a29n)).toBe(false)
  expect(hasSnapshot(folder.data, null)).toBe(false)
})

test('a standby that does not decode loses its logical slots, unless an operator set wal_level', () => {
  const place = () => placeSlot(folder, 'feed', { state: state(5, 0n), snapshot: null })
  place()
  removeSlotsOfNoUse(folder.data, true)
  expect(logicalSlotsIn(folder.data)).toEqual(['feed'])
  writeFileSync(join(folder.data, 'postgresql.auto.conf'), "wal_level = 'logical'\n")
  removeSlotsOfNoUse(folder.data, false)
  expect(logicalSlotsIn(folder.data)).toEqual(['feed'])
  writeFileSync(join(folder.data, 'postgresql.auto.conf'), "work_mem = '8MB'\n")
  removeSlotsOfNoUse(folder.data, false)
  expect(logicalSlotsIn(folder.data)).toEqual([])
})

test('what is remembered is doubted when another primary is followed, and nothing is known when it cannot be read', () => {
  keepSlotMemory(folder, { ours: ['feed'], ready: ['feed'] })
  doubtSlots(folder)
  expect(readSlotMemory(folder)).toEqual({ ours: ['feed'], ready: [] })
  writeFileSync(folder.slotsPath, '{"ours":')
  expect(readSlotMemory(folder)).toEqual({ ours: [], ready: [] })
})

test('the oldest WAL is told by the names of the segments', () => {
  for (const name of ['000000010000000000000005', '000000020000000000000003', '00000002.history'])
    writeFileSync(join(folder.data, 'pg_wal', name), '')
  expect(oldestWalIn(folder.data, 4_194_304n)).toBe(3n * 4_194_304n)
})
