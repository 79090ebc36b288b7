import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'libsql'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { UnderstudyError } from '../../errors.ts'
import { systemClock } from '../../lib/clock.ts'
import { seededRandom } from '../../lib/random.ts'
import { openStore } from '../index.ts'
import type { Store } from '../store.ts'
import { type EmbeddedOptions, openEmbeddedStore } from './open.ts'

let folder: string
let path: string
const stores = new Set<Store>()

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-store-'))
  path = join(folder, 'store.db')
})
afterEach(async () => {
  for (const store of stores) await store.close()
  stores.clear()
  rmSync(folder, { recursive: true, force: true })
})

async function open(options: Partial<EmbeddedOptions> = {}): Promise<Store> {
  const store = await openEmbeddedStore({ path, clock: systemClock, random: Math.random, waitMs: 300, ...options })
  stores.add(store)
  return store
}

/** A store with something in it, closed. */
async function someStore(): Promise<void> {
  const store = await open()
  for (let n = 0; n < 50; n++) await store.swap([], [{ key: `k/${n}`, value: 'x'.repeat(n * 20) }])
  await store.close()
}

/** Refused with the code, by a sentence that names the file; and not one byte of the folder has changed. */
async function refused(code: string, says: RegExp): Promise<void> {
  const before = contents()
  const error: unknown = await open().catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(UnderstudyError)
  expect(error).toMatchObject({ code })
  expect((error as Error).message).toMatch(says)
  expect((error as Error).message).toContain(folder)
  expect(contents()).toEqual(before)
}

function contents(): Record<string, string> {
  const names = readdirSync(folder).filter((name) => statSync(join(folder, name)).isFile())
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name), 'latin1')]))
}

describe('opening', () => {
  it('makes the folder and a file that only its owner can read', async () => {
    path = join(folder, 'not/yet/store.db')
    await open()
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  it('takes a file of no length for a new store', async () => {
    writeFileSync(path, '')
    const store = await open()
    expect(await store.swap([], [{ key: 'k', value: 1 }])).toBe('done')
  })

  it('finds again what was there', async () => {
    await someStore()
    const { revision, entries } = await (await open()).read('')
    expect([revision, entries.size, entries.get('k/2')?.value]).toEqual([50, 50, 'x'.repeat(40)])
  })

  it('takes a copy that was made while it was in use', async () => {
    const store = await open()
    await store.swap([], [{ key: 'k', value: 1 }])
    new Database(path).exec(`VACUUM INTO '${folder}/backup.db'`)
    await store.swap([], [{ key: 'k', value: 2 }])
    await store.close()
    renameSync(join(folder, 'backup.db'), path)
    expect((await (await open()).read('')).entries.get('k')).toEqual({ value: 1, revision: 1 })
  })

  it('many at once make one store', async () => {
    const all = await Promise.all(Array.from({ length: 8 }, () => open()))
    await Promise.all(all.map((store, n) => store.swap([], [{ key: `k/${n}`, value: n }])))
    expect((await (all[0] as Store).read('')).revision).toBe(8)
  })

  it('openStore picks the engine by its kind', async () => {
    const store = await openStore({ kind: 'embedded', path, clock: systemClock, random: Math.random })
    stores.add(store)
    expect(await store.swap([], [{ key: 'k', value: 1 }])).toBe('done')
    expect(existsSync(path)).toBe(true)
  })
})

describe('refuses, and leaves as it is,', () => {
  it('random bytes', async () => {
    const random = seededRandom(7)
    writeFileSync(path, Buffer.from(Array.from({ length: 8_192 }, () => Math.floor(random() * 256))))
    await refused('UND_STORE_DAMAGED', /does not begin as one/)
  })

  it('a text', async () => {
    writeFileSync(path, 'hello')
    await refused('UND_STORE_DAMAGED', /does not begin as one/)
  })

  it('a store that was cut off, wherever', async () => {
    await someStore()
    const whole = readFileSync(path)
    for (const length of [1, 99, 100, 4_095, 4_096, 5_000, whole.length - 4_096, whole.length - 1]) {
      writeFileSync(path, whole)
      truncateSync(path, length)
      await refused('UND_STORE_DAMAGED', /not a usable store/)
    }
  })

  it('a store with a page of noise, whichever', async () => {
    await someStore()
    const whole = readFileSync(path)
    const random = seededRandom(11)
    for (let page = 0; page < whole.length; page += 4_096) {
      const bytes = Buffer.from(whole)
      for (let at = page; at < page + 4_096; at++) bytes[at] = Math.floor(random() * 256)
      writeFileSync(path, bytes)
      await refused('UND_STORE_DAMAGED', /not a usable store/)
    }
  })

  it('a database of another program', async () => {
    new Database(path).exec('CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)')
    await refused('UND_STORE_DAMAGED', /another program/)
  })

  it('a database in WAL mode', async () => {
    await someStore()
    const other = new Database(path)
    other.exec('PRAGMA journal_mode = WAL')
    other.exec('PRAGMA wal_checkpoint(TRUNCATE)')
    await refused('UND_STORE_DAMAGED', /WAL mode/)
  })

  it('a store of a newer format', async () => {
    await someStore()
    new Database(path).exec('PRAGMA user_version = 3')
    await refused('UND_STORE_DAMAGED', /newer version of Understudy \(format 3; this version knows 2\)/)
  })

  it('a folder', async () => {
    mkdirSync(path)
    await refused('UND_STORE_DAMAGED', /folder/)
  })
})
