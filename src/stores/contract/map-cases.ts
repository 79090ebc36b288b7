/** The map: reads, swaps, conditions, revisions. */
import { assert } from '../../lib/assert.ts'
import { type ContractCase, put, rejectsAsBug, revisionOf, same, values } from './store-world.ts'

export const MAP_CASES: readonly ContractCase[] = [
  {
    name: 'a new store is empty',
    async run(world) {
      const store = await world.open()
      const { revision, entries } = await store.read('')
      same([revision, entries.size], [0, 0], 'a new store')
    },
  },
  {
    name: 'what was answered is seen by every handle',
    async run(world) {
      const [a, b] = [await world.open(), await world.open()]
      for (let n = 1; n <= 20; n++) {
        await put(n % 2 ? a : b, 'n', n)
        same(await values(a), { n }, 'the writer or the other')
        same(await values(b), { n }, 'the other or the writer')
      }
    },
  },
  {
    name: 'read shows what begins with the prefix, in the order of the keys',
    async run(world) {
      const store = await world.open()
      for (const key of ['b/2', 'a', 'b', 'b/1', 'B/1', 'b0', 'c', 'b/10']) await put(store, key, key)
      same([...(await store.read('b/')).entries.keys()], ['b/1', 'b/10', 'b/2'], 'prefix b/')
      same([...(await store.read('b')).entries.keys()], ['b', 'b/1', 'b/10', 'b/2', 'b0'], 'prefix b')
      same([...(await store.read('nothing')).entries.keys()], [], 'a prefix of nothing')
    },
  },
  {
    name: 'a value comes back as it was, and it cannot be changed behind the back of the store',
    async run(world) {
      const store = await world.open()
      const value = {
        text: 'ä "\\ \u0000 😀',
        list: [1, 1.5, -0.25, 1e21, null, true, { deep: [] }],
        empty: {},
        none: '',
      }
      await put(store, 'v', value)
      for (const [key, plain] of [
        ['null', null],
        ['zero', 0],
        ['false', false],
        ['text', ''],
      ] as const) {
        await put(store, key, plain)
        same((await values(store))[key], plain, key)
      }
      value.list.push(2)
      const kept = (await values(store)).v as typeof value
      same(kept, { ...value, list: value.list.slice(0, -1) }, 'the value')
      assert(Object.isFrozen(kept) && Object.isFrozen(kept.list), 'a value that was read is frozen')
    },
  },
  {
    name: 'all writes of a swap happen at one revision, and the revision grows with every change',
    async run(world) {
      const store = await world.open()
      let last = (await store.read('')).revision
      for (let n = 0; n < 5; n++) {
        await store.swap(
          [],
          [
            { key: 'x', value: n },
            { key: 'y', value: n },
          ],
        )
        const { revision, entries } = await store.read('')
        assert(revision > last, `the revision did not grow: ${last}, then ${revision}`)
        same([entries.get('x')?.revision, entries.get('y')?.revision], [revision, revision], 'the keys of one swap')
        last = revision
      }
      await put(store, 'x', 'alone')
      same(await revisionOf(store, 'y'), last, 'a key that was not written keeps its revision')
      await store.swap([], [{ key: 'y', value: undefined }])
      assert((await store.read('')).revision > last + 1, 'a removal is a change')
    },
  },
  {
    name: 'all conditions hold and all writes happen, or nothing happens',
    async run(world) {
      const store = await world.open()
      await put(store, 'a', 1)
      const before = await store.read('')
      const holds = { key: 'a', revision: await revisionOf(store, 'a') }
      const fails = { key: 'b', revision: 7 }
      const writes = [
        { key: 'a', value: 2 },
        { key: 'b', value: 2 },
        { key: 'c', value: 2 },
      ]
      for (const conditions of [[holds, fails], [fails, holds], [fails]]) {
        same(await store.swap(conditions, writes), 'conflict', 'one condition does not hold')
        same((await store.read('')).revision, before.revision, 'the revision after a conflict')
        same(await values(store), { a: 1 }, 'the map after a conflict')
      }
      same(await store.swap([holds, { key: 'b', revision: 0 }], writes), 'done', 'both hold')
      same(await values(store), { a: 2, b: 2, c: 2 }, 'the map after the swap')
    },
  },
  {
    name: 'a condition compares the revision at which the key was last written',
    async run(world) {
      const store = await world.open()
      await put(store, 'k', 'old')
      const old = await revisionOf(store, 'k')
      await put(store, 'k', 'new')
      await put(store, 'other', 1)
      same(
        await store.swap([{ key: 'k', revision: old }], [{ key: 'k', value: 'lost' }]),
        'conflict',
        'an old revision',
      )
      const current = { key: 'k', revision: await revisionOf(store, 'k') }
      same(await store.swap([current], [{ key: 'k', value: 'newest' }]), 'done', 'the current revision')
      same((await values(store)).k, 'newest', 'the value')
    },
  },
  {
    name: 'a condition with revision 0 holds exactly while there is no such key',
    async run(world) {
      const store = await world.open()
      const absent = [{ key: 'k', revision: 0 }]
      same(await store.swap(absent, [{ key: 'k', value: 1 }]), 'done', 'never written')
      same(await store.swap(absent, [{ key: 'k', value: 2 }]), 'conflict', 'there')
      await store.swap([], [{ key: 'k', value: undefined }])
      same(await store.swap(absent, [{ key: 'k', value: 3 }]), 'done', 'removed')
      same(await values(store), { k: 3 }, 'the map')
    },
  },
  {
    name: 'a swap that writes nothing only compares',
    async run(world) {
      const store = await world.open()
      await put(store, 'k', 1)
      const { revision } = await store.read('')
      same(await store.swap([{ key: 'k', revision }], []), 'done', 'a condition that holds')
      same(await store.swap([{ key: 'k', revision: 0 }], []), 'conflict', 'a condition that does not')
      same((await store.read('')).revision, revision, 'the revision')
    },
  },
  {
    name: 'removing a key that is not there is not an error',
    async run(world) {
      const store = await world.open()
      same(
        await store.swap(
          [],
          [
            { key: 'k', value: undefined },
            { key: 'l', value: 1 },
          ],
        ),
        'done',
        'the swap',
      )
      same(await values(store), { l: 1 }, 'the map')
    },
  },
  {
    name: 'what no store could do is a bug of the caller',
    async run(world) {
      const store = await world.open()
      const twice = [
        { key: 'k', value: 1 },
        { key: 'k', value: 2 },
      ]
      await rejectsAsBug(store.swap([], twice))
      for (const key of ['', 'a b', 'tab\t', 'zero\u0000', 'ü']) await rejectsAsBug(store.swap([], [{ key, value: 1 }]))
      await rejectsAsBug(store.swap([{ key: 'k', revision: -1 }], []))
      await rejectsAsBug(store.swap([], [{ key: 'k', value: () => 1 }]))
      for (const ttlMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) await rejectsAsBug(store.acquire(ttlMs))
      same(await values(store), {}, 'the map')
    },
  },
  {
    name: 'many handles that count in one key lose nothing and count nothing twice',
    async run(world) {
      const stores = [await world.open(), await world.open(), await world.open(), await world.open()]
      const each = 25
      const counted = await Promise.all(
        stores.map(async (store) => {
          const mine: number[] = []
          while (mine.length < each) {
            const entry = (await store.read('count')).entries.get('count')
            const next = Number(entry?.value ?? 0) + 1
            const answer = await store.swap(
              [{ key: 'count', revision: entry?.revision ?? 0 }],
              [{ key: 'count', value: next }],
            )
            if (answer === 'done') mine.push(next)
            await world.pass(0)
          }
          return mine
        }),
      )
      const all = counted.flat().sort((a, b) => a - b)
      same(
        all,
        Array.from({ length: each * stores.length }, (_, n) => n + 1),
        'what was counted',
      )
    },
  },
]
