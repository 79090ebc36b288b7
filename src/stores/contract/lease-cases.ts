/** Leases: how they live, how they end, what ends with them. */
import { assert } from '../../lib/assert.ts'
import type { Store } from '../store.ts'
import {
  type ContractCase,
  hold,
  LONG_MS,
  put,
  rejects,
  revisionOf,
  SHORT_MS,
  type StoreWorld,
  same,
  until,
  values,
} from './store-world.ts'

async function waitUntilGone(world: StoreWorld, store: Store, key: string): Promise<void> {
  await until(world, `the end of ${key}`, async () => !(await store.read(key)).entries.has(key))
}

export const LEASE_CASES: readonly ContractCase[] = [
  {
    name: 'a key is there until its lease ends by time, and from then on it is not, for every handle',
    async run(world) {
      const [a, b] = [await world.open(), await world.open()]
      const { sentAt, answeredAt } = await hold(world, a, 'k')
      for (const store of [b, a]) {
        let lastSeenFrom = sentAt
        await until(world, 'the end of the lease', async () => {
          const askedAt = world.clock.mono()
          const isThere = (await store.read('')).entries.has('k')
          if (isThere) lastSeenFrom = askedAt
          return !isThere
        })
        assert(lastSeenFrom < answeredAt + SHORT_MS, 'the key outlived its lease')
        assert(world.clock.mono() >= sentAt + SHORT_MS, 'the key was gone before its lease ended')
      }
    },
  },
  {
    name: "a lease's end with keys is a change: the revision grows, the key counts as absent",
    async run(world) {
      const [a, b] = [await world.open(), await world.open()]
      const before = (await a.read('')).revision
      await hold(world, a, 'k')
      const held = Math.max(before + 1, await revisionOf(a, 'k'))
      await waitUntilGone(world, b, 'k')
      const { revision } = await b.read('')
      assert(revision > held, `the revision did not grow with the end of the lease: ${revision}`)
      same((await a.read('')).revision, revision, 'the revision that the other handle reads')
      same(await a.swap([{ key: 'k', revision: held }], [{ key: 'k', value: 2 }]), 'conflict', 'the old revision')
      same((await b.read('')).revision, revision, 'the revision after the conflict')
      same(await a.swap([{ key: 'k', revision: 0 }], [{ key: 'k', value: 3 }]), 'done', 'revision 0')
      assert((await b.read('')).revision > revision, 'the revision did not grow with the swap')
      same(await values(b), { k: 3 }, 'the map')
    },
  },
  {
    name: 'the end of a lease without keys changes nothing',
    async run(world) {
      const store = await world.open()
      await put(store, 'k', 1)
      const { revision } = await store.read('')
      const released = await store.acquire(LONG_MS)
      await store.acquire(SHORT_MS)
      await store.release(released)
      await world.pass(SHORT_MS + 10)
      same((await store.read('')).revision, revision, 'the revision')
    },
  },
  {
    name: 'release ends a lease at once, with all its keys and no others',
    async run(world) {
      const [a, b] = [await world.open(), await world.open()]
      const [mine, other] = [await a.acquire(LONG_MS), await a.acquire(LONG_MS)]
      for (const key of ['m/1', 'm/2']) await put(a, key, 1, mine)
      await put(b, 'o', 1, other)
      await put(b, 'free', 1)
      await a.release(mine)
      same(await values(b), { free: 1, o: 1 }, 'what is left')
      await a.release(mine)
      await b.release('no such lease')
      same(await values(a), { free: 1, o: 1 }, 'what is left after releasing again')
    },
  },
  {
    name: 'renew gives the full time again, by any handle',
    async run(world) {
      const [a, b] = [await world.open(), await world.open()]
      const ttlMs = SHORT_MS * 4
      const held = await hold(world, a, 'k', ttlMs)
      let aliveUntil = held.sentAt + ttlMs
      let renewals = 0
      for (const store of [a, b, a, b]) {
        await world.pass(ttlMs / 2)
        const sentAt = world.clock.mono()
        const lives = await store.renew(held.lease).then(
          () => true,
          () => false,
        )
        assert(lives || world.clock.mono() >= aliveUntil, 'a lease that lives could not be renewed')
        if (!lives) break
        renewals += 1
        aliveUntil = sentAt + ttlMs
        await world.pass(ttlMs * 0.6)
        const isThere = (await b.read('')).entries.has('k')
        assert(isThere || world.clock.mono() >= aliveUntil, 'the key was gone before its renewed lease ended')
      }
      await waitUntilGone(world, b, 'k')
      assert(world.clock.mono() >= aliveUntil, `the key was gone before its lease ended, after ${renewals} renewals`)
    },
  },
  {
    name: 'a lease that ended, by time or by release, cannot be renewed and brings nothing back',
    async run(world) {
      const store = await world.open()
      const released = await store.acquire(LONG_MS)
      const { lease: late } = await hold(world, store, 'late')
      await put(store, 'released', 1, released)
      await store.release(released)
      await rejects(store.renew(released), 'UND_LEASE_LOST')
      await waitUntilGone(world, store, 'late')
      for (let again = 0; again < 2; again++) await rejects(store.renew(late), 'UND_LEASE_LOST')
      await rejects(store.renew('no such lease'), 'UND_LEASE_LOST')
      same(await values(store), {}, 'the map')
    },
  },
  {
    name: 'a write that names a lease which has ended fails the whole swap',
    async run(world) {
      const store = await world.open()
      const { lease } = await hold(world, store, 'k')
      await waitUntilGone(world, store, 'k')
      const { revision } = await store.read('')
      for (const ended of [lease, 'no such lease']) {
        const writes = [
          { key: 'other', value: 1 },
          { key: 'k', value: 2, lease: ended },
        ]
        same(await store.swap([], writes), 'conflict', 'the swap')
      }
      same(await values(store), {}, 'the map')
      same((await store.read('')).revision, revision, 'the revision')
    },
  },
  {
    name: 'the last write of a key decides which lease it is tied to',
    async run(world) {
      const store = await world.open()
      const [first, second] = [await store.acquire(LONG_MS), await store.acquire(LONG_MS)]
      for (const key of ['moved', 'freed', 'kept']) await put(store, key, 1, first)
      await put(store, 'moved', 2, second)
      await put(store, 'freed', 2)
      await store.release(first)
      same(await values(store), { freed: 2, moved: 2 }, 'after the first lease')
      await store.release(second)
      same(await values(store), { freed: 2 }, 'after the second lease')
    },
  },
  {
    name: 'no lease id is given out twice',
    async run(world) {
      const stores = [await world.open(), await world.open(), await world.open()]
      const ids = new Set<string>()
      for (let n = 0; n < 30; n++) {
        const store = stores[n % stores.length] as Store
        const lease = await store.acquire(LONG_MS)
        ids.add(lease)
        if (n % 2) await store.release(lease)
      }
      same(ids.size, 30, 'different ids')
    },
  },
  {
    name: 'of many who want a key on their lease one gets it, and the next only after the end',
    async run(world) {
      const stores = [await world.open(), await world.open(), await world.open()]
      const won: { sentAt: number; answeredAt: number }[] = []
      for (let turn = 0; turn < 3; turn++) {
        const tries = stores.map(async (store) => {
          const sentAt = world.clock.mono()
          const lease = await store.acquire(SHORT_MS)
          const answer = await store.swap([{ key: 'lead', revision: 0 }], [{ key: 'lead', value: lease, lease }])
          if (answer === 'done') won.push({ sentAt, answeredAt: world.clock.mono() })
        })
        await Promise.all(tries)
        await waitUntilGone(world, stores[0] as Store, 'lead')
      }
      assert(won.length >= 1, 'the key was not granted')
      for (const [n, one] of won.entries()) {
        for (const other of won.slice(n + 1)) {
          // Of two who got it, one was answered only after the earliest moment at which the other's lease can have ended.
          const apart = one.answeredAt >= other.sentAt + SHORT_MS || other.answeredAt >= one.sentAt + SHORT_MS
          assert(apart, 'two got the same key while the lease of the first one lived')
        }
      }
    },
  },
  {
    name: 'close does not release leases: they end by themselves',
    async run(world) {
      const [a, b] = [await world.open(), await world.open()]
      const { sentAt } = await hold(world, a, 'k', SHORT_MS * 3)
      await a.close()
      const isThere = (await b.read('')).entries.has('k')
      assert(isThere || world.clock.mono() >= sentAt + SHORT_MS * 3, 'the key went with the handle')
      await waitUntilGone(world, b, 'k')
      assert(world.clock.mono() >= sentAt + SHORT_MS * 3, 'the key was gone before its lease ended')
    },
  },
]
