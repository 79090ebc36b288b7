import { afterEach, describe, expect, it } from 'vitest'
import { systemClock } from '../lib/clock.ts'
import { VirtualClock } from '../lib/virtual-clock.ts'
import { STORE_CONTRACT, type StoreWorld } from './contract/store-contract.ts'
import { Told } from './contract/store-world.ts'
import { MemoryCluster } from './memory.ts'

function virtualWorld(): StoreWorld & { cluster: MemoryCluster; clock: VirtualClock } {
  const clock = new VirtualClock(1_000)
  const cluster = new MemoryCluster({ clock })
  return { clock, cluster, open: async () => cluster.open(), pass: (ms) => clock.advance(ms) }
}

describe('the memory store keeps the contract', () => {
  for (const { name, run } of STORE_CONTRACT) {
    it(`${name} (virtual clock)`, () => run(virtualWorld()))
  }

  const stores = new Set<{ close(): Promise<void> }>()
  afterEach(async () => {
    for (const store of stores) await store.close()
    stores.clear()
  })
  for (const { name, run } of STORE_CONTRACT) {
    it(`${name} (real clock)`, async () => {
      const cluster = new MemoryCluster({ clock: systemClock })
      const open = async () => {
        const store = cluster.open()
        stores.add(store)
        return store
      }
      await run({ clock: systemClock, open, pass: (ms) => new Promise((done) => setTimeout(done, ms)) })
    })
  }
})

describe('the memory store misbehaves on demand', () => {
  it('away: rejects after the given time, does nothing, tells watchers once, and again when it is back', async () => {
    const { clock, cluster } = virtualWorld()
    const [cut, well] = [cluster.open(), cluster.open()]
    const told = new Told()
    cut.watch('', told)
    await clock.advance(1)
    cut.misbehave({ kind: 'away', afterMs: 500 })
    const asked = cut.swap([], [{ key: 'k', value: 1 }]).catch((error: unknown) => error)
    await clock.advance(499)
    expect(await Promise.race([asked, Promise.resolve('not yet')])).toBe('not yet')
    await clock.advance(1)
    expect(await asked).toMatchObject({ code: 'UND_STORE_AWAY' })
    await well.swap([], [{ key: 'k', value: 2 }])
    await clock.advance(10)
    expect([told.snapshots.length, told.troubles.length]).toEqual([1, 1])
    cut.misbehave(null)
    await clock.advance(1)
    expect(told.value('k')).toBe(2)
    cluster.misbehave({ kind: 'away' })
    await expect(well.read('')).rejects.toMatchObject({ code: 'UND_STORE_AWAY' })
  })

  it('back after being away, watchers are told even if nothing has changed', async () => {
    const { clock, cluster } = virtualWorld()
    const told = new Told()
    cluster.open().watch('', told)
    await clock.advance(1)
    cluster.misbehave({ kind: 'away' })
    await clock.advance(1)
    cluster.misbehave(null)
    await clock.advance(1)
    expect([told.snapshots.length, told.troubles.length]).toEqual([2, 1])
  })

  it('slow: the store counts a lease from when it handled the request, not from when it was sent or answered', async () => {
    const { clock, cluster } = virtualWorld()
    const [slow, well] = [cluster.open(), cluster.open()]
    slow.misbehave({ kind: 'slow', requestMs: 30, replyMs: 40 })
    const asked = slow.acquire(100)
    await clock.advance(70)
    const lease = await asked // sent at 0, handled at 30, answered at 70
    await well.swap([], [{ key: 'k', value: 1, lease }])
    await clock.advance(59)
    expect((await well.read('')).entries.has('k')).toBe(true)
    await clock.advance(1)
    expect((await well.read('')).entries.has('k')).toBe(false)
  })

  it('unknown: the change happens or not, the caller cannot tell; reads work', async () => {
    const { cluster } = virtualWorld()
    const store = cluster.open()
    for (const happens of [true, false]) {
      store.misbehave({ kind: 'unknown', happens })
      const asked = store.swap([], [{ key: String(happens), value: 1 }])
      await expect(asked).rejects.toMatchObject({ code: 'UND_STORE_UNKNOWN' })
    }
    expect([...(await store.read('')).entries.keys()]).toEqual(['true'])
  })

  it('leaves no timer behind without watchers', async () => {
    const planned = new Set<object>()
    const after = () => {
      const timer = {}
      planned.add(timer)
      return () => planned.delete(timer)
    }
    const store = new MemoryCluster({ clock: { mono: () => 0, wall: () => 0, after } }).open()
    await store.swap([], [{ key: 'k', value: 1, lease: await store.acquire(1_000) }])
    const stop = store.watch('', new Told())
    expect(planned.size).toBeGreaterThan(0)
    stop()
    expect(planned.size).toBe(0)
  })
})
