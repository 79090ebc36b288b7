/** What a removed service kept is renamed, wherever it lies, and a crash half way changes nothing of that. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Folder } from './replica-folder.ts'
import { ASIDE_FILE, setAside } from './set-aside.ts'

let root: string
const WALL = Date.UTC(2026, 10, 29, 1, 45, 3)
const DATE = '20261129T014503Z'

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'understudy-aside-'))
})

afterEach(() => rmSync(root, { recursive: true }))

/** A replica of `db` with one file of data. `data`: where the config wants it. */
function replica(data: string | null = null): Folder {
  const folder = new Folder(join(root, 'a'), 'db', data, null)
  mkdirSync(folder.data, { recursive: true })
  mkdirSync(folder.base, { recursive: true })
  writeFileSync(join(folder.data, 'PG_VERSION'), '15\n')
  writeFileSync(folder.recordPath, '{"pledged": 3}')
  writeFileSync(folder.keyPath, 'a secret')
  writeFileSync(folder.identityPath, '{}')
  return folder
}

test('the data, the record and all that belongs to it, but no key, under the name of the service and the date', () => {
  const folder = replica()
  const place = setAside(folder, 'db', WALL) ?? ''
  expect(place).toBe(join(root, 'a', 'instances', `db.removed-${DATE}`))
  expect(readdirSync(place).sort()).toEqual(['data', 'replica.json', ASIDE_FILE])
  expect(readdirSync(dirname(place))).toEqual([`db.removed-${DATE}`])
})

test('a data folder that the config named, and tablespaces, are renamed where they are, and the list says where', () => {
  const folder = replica(join(root, 'disk', 'shop'))
  const location = join(root, 'fast')
  mkdirSync(join(location, 'PG_15_202209061', '5'), { recursive: true })
  writeFileSync(folder.tablespacesPath, JSON.stringify([location]))
  const place = setAside(folder, 'db', WALL) ?? ''
  const aside = [`${folder.data}.removed-${DATE}`, join(location, `understudy-removed-${DATE}`)]
  expect(JSON.parse(readFileSync(join(place, ASIDE_FILE), 'utf8')).places).toEqual(aside)
  expect(existsSync(join(aside[0] ?? '', 'PG_VERSION'))).toBe(true)
  expect(readdirSync(location)).toEqual([`understudy-removed-${DATE}`])
  expect(readdirSync(aside[1] ?? '')).toEqual(['PG_15_202209061'])
  expect(existsSync(folder.data)).toBe(false)
})

test('an agent that died half way goes on under the same date', () => {
  const folder = replica(join(root, 'disk', 'shop'))
  const plan = { service: 'db', date: DATE, places: [`${folder.data}.removed-${DATE}`] }
  writeFileSync(join(folder.base, ASIDE_FILE), JSON.stringify(plan))
  const place = setAside(folder, 'db', WALL + 60_000)
  expect(place).toBe(`${folder.base}.removed-${DATE}`)
  expect(existsSync(`${folder.data}.removed-${DATE}`)).toBe(true)
})

test('a database that was to be adopted and never was is left where it is', () => {
  const folder = replica(join(root, 'disk', 'shop'))
  writeFileSync(folder.recordPath, '{"pledged": 0}')
  setAside(folder, 'db', WALL)
  expect(existsSync(join(folder.data, 'PG_VERSION'))).toBe(true)
})

test('a replica that never had data leaves nothing, and what is not a database is left alone', () => {
  const other = join(root, 'other')
  const folder = new Folder(join(root, 'a'), 'db', other, null)
  mkdirSync(join(folder.base, 'run'), { recursive: true })
  mkdirSync(other)
  writeFileSync(join(other, 'notes'), 'of an operator')
  expect(setAside(folder, 'db', WALL)).toBeUndefined()
  expect(existsSync(folder.base)).toBe(false)
  expect(readdirSync(other)).toEqual(['notes'])
})
