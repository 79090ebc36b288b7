/** Watches: what is told, when, and in which order; and what a closed handle does. */
import { assert } from '../../lib/assert.ts'
import { type ContractCase, hold, LONG_MS, put, rejects, SHORT_MS, same, Told, until, valuesOf } from './store-world.ts'

export const WATCH_CASES: readonly ContractCase[] = [
  {
    name: 'the first call comes soon and shows what is there, but not from within watch',
    async run(world) {
      const store = await world.open()
      await put(store, 'k', 1)
      const [told, nothing] = [new Told(), new Told()]
      store.watch('', told)
      store.watch('nothing/', nothing)
      same([told.snapshots.length, nothing.snapshots.length], [0, 0], 'calls from within watch')
      await until(world, 'the first calls', () => told.snapshots.length > 0 && nothing.snapshots.length > 0)
      same(valuesOf(told.snapshots[0] as never), { k: 1 }, 'the first snapshot')
      same(nothing.last?.entries.size, 0, 'the entries under a prefix of nothing')
    },
  },
  {
    name: 'watchers of every handle are told of every handle’s changes',
    async run(world) {
      const stores = [await world.open(), await world.open()]
      const all = [...stores, ...stores].map((store) => {
        const told = new Told()
        store.watch('', told)
        return told
      })
      for (const [n, store] of stores.entries()) {
        await put(store, 'k', n)
        await until(world, `value ${n} at all watchers`, () => all.every((told) => told.value('k') === n))
        await store.swap([], [{ key: 'k', value: undefined }])
        await until(world, 'the removal at all watchers', () => all.every((told) => told.last?.entries.size === 0))
      }
    },
  },
  {
    name: 'a watcher is told of its prefix only',
    async run(world) {
      const [a, b] = [await world.open(), await world.open()]
      const [mine, all] = [new Told(), new Told()]
      a.watch('mine/', mine)
      a.watch('', all)
      await put(b, 'mine/k', 1)
      await until(world, 'the first value', () => mine.value('mine/k') === 1)
      const calls = mine.snapshots.length
      await put(b, 'other', 1)
      await put(a, 'mine', 1)
      await until(world, 'the others at the watcher of all', () => all.value('other') === 1 && all.value('mine') === 1)
      await put(b, 'mine/k', 2)
      await until(world, 'the second value', () => mine.value('mine/k') === 2)
      same(mine.snapshots.length, calls + 1, 'calls')
      for (const { entries } of mine.snapshots) {
        assert(
          [...entries.keys()].every((key) => key.startsWith('mine/')),
          'a key of another prefix was shown',
        )
      }
    },
  },
  {
    name: 'never an older snapshot after a newer one, and the last state arrives',
    async run(world) {
      const [a, b] = [await world.open(), await world.open()]
      const told = [new Told(), new Told()]
      a.watch('', told[0] as Told)
      b.watch('', told[1] as Told)
      for (let n = 1; n <= 60; n++) await put(n % 3 ? a : b, n % 2 ? 'odd' : 'even', n)
      await until(world, 'the last state', () =>
        told.every((one) => one.value('even') === 60 && one.value('odd') === 59),
      )
      for (const { snapshots } of told) {
        const numbers = snapshots.map((snapshot) => Math.max(0, ...Object.values(valuesOf(snapshot)).map(Number)))
        same(
          numbers,
          [...numbers].sort((x, y) => x - y),
          'the values in the order of the calls',
        )
      }
    },
  },
  {
    name: "a lease's end by time is told without a write, and not before",
    async run(world) {
      const [a, b] = [await world.open(), await world.open()]
      const told = [new Told(), new Told()]
      a.watch('', told[0] as Told)
      b.watch('k', told[1] as Told)
      await put(a, 'k', 'free')
      await until(world, 'the key at both', () => told.every((one) => one.value('k') === 'free'))
      const { sentAt } = await hold(world, a, 'k', SHORT_MS * 4)
      await until(world, 'the end at both', () => told.every((one) => one.last?.entries.size === 0))
      assert(world.clock.mono() >= sentAt + SHORT_MS * 4, 'the end was told too early')
    },
  },
  {
    name: 'a release is told',
    async run(world) {
      const [a, b] = [await world.open(), await world.open()]
      const told = new Told()
      b.watch('k', told)
      const lease = await a.acquire(LONG_MS)
      await put(a, 'k', 1, lease)
      await until(world, 'the key', () => told.value('k') === 1)
      await a.release(lease)
      await until(world, 'its end', () => told.last?.entries.size === 0)
    },
  },
  {
    name: 'a renewed lease is not told as ended',
    async run(world) {
      const [a, b] = [await world.open(), await world.open()]
      const told = new Told()
      b.watch('k', told)
      await put(a, 'k', 'free')
      await until(world, 'the key', () => told.value('k') === 'free')
      const ttlMs = SHORT_MS * 5
      const { lease, sentAt } = await hold(world, a, 'k', ttlMs)
      let endsAt = sentAt + ttlMs
      for (let n = 0; n < 5; n++) {
        const renewedAt = world.clock.mono()
        const lives = await a.renew(lease).then(
          () => true,
          () => false,
        )
        if (!lives) break // held up for longer than the lease: the end is checked below
        endsAt = renewedAt + ttlMs
        await world.pass(SHORT_MS * 2)
        assert(told.last?.entries.has('k') || world.clock.mono() >= endsAt, 'told the end of a lease that lives')
      }
      await until(world, 'its end', () => told.last?.entries.size === 0)
      assert(world.clock.mono() >= endsAt, 'the end was told too early')
    },
  },
  {
    name: 'a stopped watch is silent, the others go on',
    async run(world) {
      const store = await world.open()
      const [stopped, other] = [new Told(), new Told()]
      const stop = store.watch('', stopped)
      store.watch('', other)
      await until(world, 'the first calls', () => stopped.snapshots.length > 0 && other.snapshots.length > 0)
      stop()
      stop()
      await put(store, 'k', 1)
      await until(world, 'the other watcher', () => other.value('k') === 1)
      await world.pass(SHORT_MS * 2)
      same(stopped.snapshots.length, 1, 'calls of the stopped watch')
      const never = new Told()
      store.watch('', never)()
      await world.pass(SHORT_MS * 2)
      same(never.snapshots.length, 0, 'calls of a watch that was stopped at once')
    },
  },
  {
    name: 'a closed handle is silent and does nothing, the others go on',
    async run(world) {
      const [a, b] = [await world.open(), await world.open()]
      const told = new Told()
      a.watch('', told)
      await until(world, 'the first call', () => told.snapshots.length > 0)
      const lease = await a.acquire(LONG_MS)
      await a.close()
      await a.close()
      await rejects(a.read(''), 'UND_STORE_AWAY')
      await rejects(a.swap([], [{ key: 'k', value: 1 }]), 'UND_STORE_AWAY')
      await rejects(a.acquire(LONG_MS), 'UND_STORE_AWAY')
      await rejects(a.renew(lease), 'UND_STORE_AWAY')
      await rejects(a.release(lease), 'UND_STORE_AWAY')
      await put(b, 'k', 2, lease)
      a.watch('', told)
      await world.pass(SHORT_MS * 2)
      same([told.snapshots.length, told.troubles.length], [1, 0], 'calls of the closed handle')
      same(valuesOf(await b.read('')), { k: 2 }, 'the map')
    },
  },
]
