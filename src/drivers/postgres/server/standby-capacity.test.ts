import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import {
  type Capacity,
  capacityArguments,
  greatest,
  parseCapacity,
  parseControlFile,
  shortfall,
  toRaise,
} from './standby-capacity.ts'

const folders: string[] = []

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

/** As PostgreSQL writes it, with `before` bytes in front, which differ between versions. */
function controlFile(values: readonly number[], before = 132): Buffer {
  const file = Buffer.alloc(8_192)
  file.writeInt32LE(1, before) // wal_level
  for (const [index, value] of values.entries()) file.writeInt32LE(value, before + 8 + 4 * index)
  const align = before + 8 + 4 * values.length + 4
  file.writeUInt32LE(8, align)
  file.writeDoubleLE(1_234_567, Math.ceil((align + 4) / 8) * 8)
  return file
}

function dataFolder(files: Readonly<Record<string, string | Buffer>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-capacity-'))
  folders.push(folder)
  for (const sub of ['global', 'pg_replslot', 'pg_twophase', 'conf.d']) mkdirSync(join(folder, sub))
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
  return folder
}

const control = (connections: number) => controlFile([connections, 8, 16, 0, 64])

describe('what a standby needs', () => {
  const cases: readonly [what: string, needed: Capacity, configured: Capacity, raised: Capacity][] = [
    ['nothing is known', {}, {}, {}],
    ['equal', { max_connections: 100 }, { max_connections: 100 }, {}],
    ['equal to the default', { max_connections: 100, max_worker_processes: 8 }, {}, {}],
    ['raised on the primary alone', { max_connections: 150 }, { max_connections: 100 }, { max_connections: 150 }],
    ['more than the default', { max_locks_per_transaction: 128 }, {}, { max_locks_per_transaction: 128 }],
    ['lowered in the config', { max_connections: 100 }, { max_connections: 50 }, { max_connections: 100 }],
    ['raised in the config', { max_connections: 100 }, { max_connections: 150 }, {}],
    ['prepared transactions', { max_prepared_transactions: 5 }, {}, { max_prepared_transactions: 5 }],
    [
      'several',
      { max_wal_senders: 20, max_worker_processes: 16, max_connections: 10 },
      { max_wal_senders: 16 },
      { max_wal_senders: 20, max_worker_processes: 16 },
    ],
  ]
  test.each(cases)('%s', (_, needed, configured, raised) => {
    expect(toRaise(needed, configured)).toEqual(raised)
  })

  test('is the greatest of what the control file and the primary say', () => {
    expect(greatest({ max_connections: 100, max_wal_senders: 20 }, { max_connections: 150 })).toEqual({
      max_connections: 150,
      max_wal_senders: 20,
    })
  })

  test('is told in a sentence when it is less, and not when it is not known', () => {
    expect(shortfall({ max_connections: 150 }, { max_connections: 100 })).toBe(
      'max_connections is 100 here and 150 on the primary',
    )
    expect(shortfall({ max_connections: 150 }, { max_connections: 150 })).toBeNull()
    expect(shortfall({ max_connections: 150 }, {})).toBeNull()
  })

  test('an answer of the primary that is none says nothing', () => {
    expect(parseCapacity('{"max_connections": 150, "other": 1}')).toEqual({ max_connections: 150 })
    expect(parseCapacity(undefined)).toEqual({})
  })
})

describe('the control file', () => {
  test.each([132, 136, 140, 200])('is read wherever the version puts the block (%i)', (before) => {
    expect(parseControlFile(controlFile([150, 9, 17, 3, 65], before))).toEqual({
      max_connections: 150,
      max_worker_processes: 9,
      max_wal_senders: 17,
      max_prepared_transactions: 3,
      max_locks_per_transaction: 65,
    })
  })

  test('of another architecture or an empty one says nothing', () => {
    expect(parseControlFile(Buffer.alloc(0))).toEqual({})
    expect(parseControlFile(Buffer.alloc(8_192))).toEqual({})
  })
})

describe('the command line', () => {
  test('raises a standby to its control file, whatever the files configure', () => {
    const folder = dataFolder({
      'global/pg_control': control(150),
      'postgresql.conf': "max_connections = 100\nmax_wal_senders = 16\ninclude_if_exists = 'understudy.conf'\n",
      'understudy.conf': 'max_connections = 40\n',
      'postgresql.auto.conf': '# Do not edit\nmax_connections = 60\n',
    })
    expect(capacityArguments(folder, true, {})).toEqual(['-c', 'max_connections=150'])
    expect(capacityArguments(folder, false, {}), 'a primary may be lowered').toEqual([])
  })

  test('leaves what ALTER SYSTEM or an included file set higher', () => {
    const folder = dataFolder({
      'global/pg_control': control(150),
      'postgresql.conf': "max_connections = 100\nmax_wal_senders = 16\ninclude_dir 'conf.d'\n",
      'conf.d/more.conf': "max_connections = '200' # for the fair\n",
    })
    expect(capacityArguments(folder, true, {})).toEqual([])
    writeFileSync(join(folder, 'postgresql.auto.conf'), "max_connections = '120'\n")
    expect(capacityArguments(folder, true, {})).toEqual(['-c', 'max_connections=150'])
  })

  test('raises it to what the primary runs with, before that is in its own WAL', () => {
    const folder = dataFolder({ 'global/pg_control': control(100), 'postgresql.conf': 'max_wal_senders = 16' })
    expect(capacityArguments(folder, true, { max_connections: 180 })).toEqual(['-c', 'max_connections=180'])
  })

  test('makes room for the slots and prepared transactions that are there, on a primary too', () => {
    const folder = dataFolder({ 'postgresql.conf': 'max_replication_slots = 1\n', 'pg_twophase/00000001': '' })
    for (const name of ['one', 'two']) mkdirSync(join(folder, 'pg_replslot', name))
    expect(capacityArguments(folder, false, {}).join(' ')).toBe(
      '-c max_prepared_transactions=1 -c max_replication_slots=2',
    )
  })
})
