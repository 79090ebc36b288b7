import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'libsql'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { VirtualClock } from '../../lib/virtual-clock.ts'
import { Told } from '../contract/store-world.ts'
import type { Store } from '../store.ts'
import { openEmbeddedStore } from './open.ts'

let folder: string
let path: string
const stores = new Set<Store>()
const clock = new VirtualClock(5_000)

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-leases-'))
  path = join(folder, 'store.db')
})
afterEach(async () => {
  for (const store of stores) await store.close()
  stores.clear()
  rmSync(folder, { recursive: true, force: true })
})

async function open(boot = 'this'): Promise<Store> {
  const store = await openEmbeddedStore({ path, clock, random: Math.random, waitMs: 200, boot })
  stores.add(store)
  return store
}

async function leader(ttlMs: number): Promise<{ store: Store; lease: string }> {
  const store = await open()
  const lease = await store.acquire(ttlMs)
  await store.swap([], [{ key: 'lead', value: 1, lease }])
  return { store, lease }
}

const keys = async (store: Store) => [...(await store.read('')).entries.keys()]

describe('a renewal', () => {
  it('writes no byte of the store and of its journal, which are synced', async () => {
    const { store, lease } = await leader(1_000)
    const look = () => [path, `${path}-journal`].map((file) => [statSync(file).mtimeMs, readFileSync(file, 'latin1')])
    const before = look()
    for (let n = 0; n < 20; n++) {
      await clock.advance(900)
      await store.renew(lease)
    }
    expect(look()).toEqual(before)
    expect(await keys(await open())).toEqual(['lead'])
  })

  it('is seen by another handle at once, and tells watchers nothing', async () => {
    const { store, lease } = await leader(1_000)
    const [other, told] = [await open(), new Told()]
    other.watch('', told)
    await clock.advance(900)
    await store.renew(lease)
    await clock.advance(900)
    expect(await keys(other)).toEqual(['lead'])
    expect(told.snapshots.length).toBe(1)
    await clock.advance(100)
    expect(await keys(other)).toEqual([])
    await expect(store.renew(lease)).rejects.toMatchObject({ code: 'UND_LEASE_LOST' })
    expect(told.snapshots.length).toBe(2)
  })

  it('works while the store is full of leases that ended: the places of those are used again', async () => {
    const store = await open()
    for (let n = 0; n < 600; n++) {
      await store.acquire(10)
      await clock.advance(10)
    }
    expect(statSync(`${path}-leases`).size).toBe(4_096)
    const many = await Promise.all(Array.from({ length: 300 }, () => store.acquire(1_000)))
    expect(statSync(`${path}-leases`).size).toBe(8_192)
    await clock.advance(900)
    for (const lease of many) await store.renew(lease)
    await clock.advance(900)
    for (const lease of many) await store.renew(lease)
  })
})

describe('a file of lease times that is lost', () => {
  it('removed while it is used: nothing is read and nothing renewed', async () => {
    const { store, lease } = await leader(1_000)
    rmSync(`${path}-leases`)
    await expect(store.renew(lease)).rejects.toMatchObject({ code: 'UND_STORE_DAMAGED' })
    await expect(store.read('')).rejects.toMatchObject({ code: 'UND_STORE_DAMAGED' })
    await expect(store.swap([], [{ key: 'k', value: 1 }])).rejects.toMatchObject({ code: 'UND_STORE_DAMAGED' })
  })

  for (const [how, harm] of [
    ['removed', () => rmSync(`${path}-leases`)],
    ['emptied', () => writeFileSync(`${path}-leases`, '')],
    ['of another store', () => writeFileSync(`${path}-leases`, Buffer.alloc(4_096, 7))],
    ['moved', () => renameSync(`${path}-leases`, `${path}-elsewhere`)],
  ] as const) {
    it(`${how}: opening the store gives each lease its full time from now, so none ends before its holder believes`, async () => {
      const { store, lease } = await leader(1_000)
      await clock.advance(900)
      await store.renew(lease)
      await clock.advance(900)
      harm()
      const other = await open()
      await clock.advance(999)
      expect(await keys(other)).toEqual(['lead'])
      await clock.advance(1)
      expect(await keys(other)).toEqual([])
    })
  }

  it('of another boot: every lease has ended, whatever the file says', async () => {
    await leader(60_000)
    expect(await keys(await open('next'))).toEqual([])
  })
})

describe('a store of format 1', () => {
  function asFormat1(endsAt: number, boot: string): void {
    const file = new Database(path)
    file.exec(`
      DROP TABLE leases;
      CREATE TABLE lease (id TEXT PRIMARY KEY, boot TEXT NOT NULL, ttl_ms REAL NOT NULL, ends_at REAL NOT NULL) STRICT, WITHOUT ROWID;
      INSERT INTO lease VALUES ('1-x', '${boot}', 2000, ${endsAt});
      PRAGMA user_version = 1;`)
    file.close()
    rmSync(`${path}-leases`)
  }

  async function oneLead(): Promise<void> {
    const { store } = await leader(1_000)
    await store.swap([], [{ key: 'free', value: 1 }])
    await store.close()
  }

  it('is used once no agent of the earlier version holds a lease in it, with all that is tied to none', async () => {
    await oneLead()
    asFormat1(clock.mono() - 1, 'this')
    const store = await open()
    const { entries, revision } = await store.read('')
    expect([[...entries.keys()], revision]).toEqual([['free'], 3])
    await store.renew(await store.acquire(1_000))
  })

  it('is left as it is while one does', async () => {
    await oneLead()
    asFormat1(clock.mono() + 500, 'this')
    const before = readFileSync(path)
    await expect(open()).rejects.toMatchObject({
      code: 'UND_STORE_AWAY',
      message: expect.stringMatching(/older version/),
    })
    expect(readFileSync(path)).toEqual(before)
    expect(existsSync(`${path}-leases`)).toBe(false)
    await clock.advance(500)
    expect(await keys(await open())).toEqual(['free'])
  })
})
