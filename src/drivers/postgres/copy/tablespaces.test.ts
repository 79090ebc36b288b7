import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Folder } from '../files/replica-folder.ts'
import {
  adoptLocations,
  canRewindTo,
  claimLocations,
  freshPlaceOf,
  isOfThisMachine,
  linkedLocations,
  ownLocations,
  placeTablespaces,
  prepareLocations,
  refuseUnusable,
  removeTablespaceLeftovers,
  sharedLocations,
  tablespacesIn,
} from './tablespaces.ts'

let root = ''
let folder: Folder
let location = ''

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'understudy-tablespaces-'))
  chmodSync(root, 0o700)
  folder = new Folder(join(root, 'nodes', 'a'), 'db', null, null)
  location = join(root, 'fast')
  mkdirSync(location)
  mkdirSync(join(folder.data, 'pg_tblspc'), { recursive: true })
})

afterEach(() => rmSync(root, { recursive: true, force: true }))

const fast = () => ({ oid: '16384', name: 'fast', location })
const placed = () => placeTablespaces([fast()], false)
const link = (oid = '16384') => symlinkSync(location, join(folder.data, 'pg_tblspc', oid))

describe('where a tablespace of a copy goes', () => {
  test('to the same path on another machine, in place on the same one', () => {
    expect(placeTablespaces([fast()], false)).toEqual([{ ...fast(), linkTo: location }])
    expect(placeTablespaces([fast()], true)).toEqual([{ ...fast(), linkTo: null }])
  })

  test('one that is in place stays so, however the server says it', () => {
    for (const inPlace of ['', 'pg_tblspc/16384']) {
      const [one] = placeTablespaces([{ ...fast(), location: inPlace }], false)
      expect(one?.linkTo).toBe(null)
      expect(one && freshPlaceOf(one, '/new')).toBe('/new/pg_tblspc/16384')
    }
  })

  test('addresses of this machine are known', () => {
    expect(isOfThisMachine('127.0.0.13', [])).toBe(true)
    expect(isOfThisMachine('::1', [])).toBe(true)
    expect(isOfThisMachine('192.0.2.7', ['192.0.2.7'])).toBe(true)
    expect(isOfThisMachine('192.0.2.8', ['192.0.2.7'])).toBe(false)
  })
})

describe('a location on another machine', () => {
  const refusal = () => {
    try {
      refuseUnusable(placed(), folder)
      return ''
    } catch (error) {
      return (error as Error).message
    }
  }

  test('that is missing, or is another owner’s, is refused with what is to be done, and nothing is touched', () => {
    expect(refusal()).toBe('')
    mkdirSync(join(location, 'PG_15_202209061'))
    expect(refusal()).toMatch(
      /tablespace fast needs the folder .*fast on this node: it holds PG_15_202209061 of another/,
    )
    expect(readdirSync(location)).toEqual(['PG_15_202209061'])
    rmSync(location, { recursive: true })
    expect(refusal()).toMatch(/make it, empty, and give it to the server's user/)
    expect(existsSync(location)).toBe(false)
  })

  test('that this replica filled before is used again, and what was in it goes when the new copy is whole', async () => {
    mkdirSync(join(location, 'PG_15_202209061'))
    writeFileSync(join(location, 'PG_15_202209061', 'old'), '')
    writeFileSync(join(location, 'not ours'), '')
    link()
    claimLocations(folder)
    expect(refusal()).toBe('')
    prepareLocations(placed(), folder)
    mkdirSync(join(location, 'understudy-new', 'PG_15_202209061'))
    writeFileSync(join(location, 'understudy-new', 'PG_15_202209061', 'new'), '')
    adoptLocations(folder)
    expect(readdirSync(join(location, 'PG_15_202209061'))).toEqual(['new'])
    await removeTablespaceLeftovers(folder)
    expect(readdirSync(location).toSorted()).toEqual(['PG_15_202209061', 'not ours'])
  })

  test('that the new copy does not use any more is emptied of what was ours', async () => {
    mkdirSync(join(location, 'PG_15_202209061'))
    link()
    claimLocations(folder)
    rmSync(join(folder.data, 'pg_tblspc', '16384'))
    adoptLocations(folder)
    await removeTablespaceLeftovers(folder)
    expect(readdirSync(location)).toEqual([])
  })

  test('that is none of this replica is left alone, whatever its copy links to', async () => {
    mkdirSync(join(location, 'PG_15_202209061'))
    link()
    adoptLocations(folder)
    await removeTablespaceLeftovers(folder)
    expect(readdirSync(location)).toEqual(['PG_15_202209061'])
  })
})

test('a list of locations that cannot be read claims none', () => {
  link()
  writeFileSync(folder.tablespacesPath, '["')
  expect(ownLocations(folder)).toEqual([])
  expect(sharedLocations(folder, '127.0.0.1')).toEqual([location])
})

test('a standby that links to what its primary on the same machine uses shares it; its own folders it does not', () => {
  expect(sharedLocations(folder, '127.0.0.1')).toEqual([])
  link()
  mkdirSync(join(folder.data, 'pg_tblspc', '16385'))
  expect(sharedLocations(folder, '127.0.0.1')).toEqual([location])
  expect(sharedLocations(folder, '192.0.2.7')).toEqual([])
  expect(linkedLocations(folder.data)).toEqual([location])
  expect(tablespacesIn(folder.data).map((one) => one.location)).toEqual([location, ''])
  claimLocations(folder)
  expect(ownLocations(folder)).toEqual([location])
  expect(sharedLocations(folder, '127.0.0.1')).toEqual([])
})

test('a rewind needs each tablespace of the primary here, of the same kind', () => {
  const inPlace = { ...fast(), location: 'pg_tblspc/16384' }
  expect(canRewindTo([fast()], [fast()])).toBe(true)
  expect(canRewindTo([fast()], [])).toBe(false)
  expect(canRewindTo([fast()], [{ ...fast(), location: '' }])).toBe(false)
  expect(canRewindTo([inPlace], [{ ...fast(), location: '' }])).toBe(true)
  expect(canRewindTo([], [fast()])).toBe(true)
})
