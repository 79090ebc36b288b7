import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { STORE_CONTRACT } from '../contract.ts'
import type { Store } from '../store.ts'
import { openEmbeddedStore } from './open.ts'

let folder: string
const stores = new Set<Store>()

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-store-'))
})
afterEach(async () => {
  for (const store of stores) await store.close()
  stores.clear()
  rmSync(folder, { recursive: true, force: true })
})

async function open(): Promise<Store> {
  const store = await openEmbeddedStore({ path: join(folder, 'store.db'), clock: systemClock, random: Math.random })
  stores.add(store)
  return store
}

describe('the embedded store keeps the contract', () => {
  for (const { name, run } of STORE_CONTRACT) {
    it(name, () => run({ clock: systemClock, open, pass: (ms) => new Promise((done) => setTimeout(done, ms)) }))
  }
})
