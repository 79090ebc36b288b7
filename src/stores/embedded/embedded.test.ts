import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { onFault } from '../../lib/background.ts'
import { systemClock } from '../../lib/clock.ts'
import { VirtualClock } from '../../lib/virtual-clock.ts'
import { STORE_CONTRACT } from '../contract/store-contract.ts'
import { Told } from '../contract/store-world.ts'
import type { Store } from '../store.ts'
import { Busy } from './busy.ts'
import { type EmbeddedOptions, openEmbeddedStore } from './open.ts'
import { Connection } from './sqlite-connection.ts'

let folder: string
let path: string
const stores = new Set<Store>()
const connections = new Set<Connection>()

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-store-'))
  path = join(folder, 'store.db')
})
afterEach(async () => {
  for (const store of stores) await store.close()
  for (const connection of connections) connection.close()
  stores.clear()
  connections.clear()
  rmSync(folder, { recursive: true, force: true })
})

async function open(options: Partial<EmbeddedOptions> = {}): Promise<Store> {
  const store = await openEmbeddedStore({ path, clock: systemClock, random: Math.random, waitMs: 200, ...options })
  stores.add(store)
  return store
}

function connect(): Connection {
  const connection = new Connection(path)
  connection.configure()
  connections.add(connection)
  return connection
}

describe('the embedded store keeps the contract', () => {
  for (const { name, run } of STORE_CONTRACT) {
    it(name, () => run({ clock: systemClock, open, pass: (ms) => new Promise((done) => setTimeout(done, ms)) }))
  }
})

describe('the embedded store keeps the contract under a virtual clock', () => {
  for (const { name, run } of STORE_CONTRACT) {
    it(name, () => {
      const clock = new VirtualClock(5_000)
      return run({ clock, open: () => open({ clock }), pass: (ms) => clock.advance(ms) })
    })
  }
})

describe('leases and the boots of the machine', () => {
  it('a lease of another boot has ended, whatever its number says', async () => {
    const clock = new VirtualClock(1_000_000)
    const before = await open({ clock, boot: 'before' })
    const lease = await before.acquire(60_000)
    await before.swap(
      [],
      [
        { key: 'k', value: 1, lease },
        { key: 'free', value: 1 },
      ],
    )
    await before.close()
    // The clock of the new boot starts again, so by its number the lease would live for a long time.
    const after = await open({ clock: new VirtualClock(10), boot: 'after' })
    expect([...(await after.read('')).entries.keys()]).toEqual(['free'])
    await expect(after.renew(lease)).rejects.toMatchObject({ code: 'UND_LEASE_LOST' })
    expect(await after.swap([{ key: 'k', revision: 0 }], [{ key: 'k', value: 2 }])).toBe('done')
  })
})

describe('the rows of ended leases', () => {
  it('are counted by readers as the next writer will count them', async () => {
    const clock = new VirtualClock()
    const [a, b] = [await open({ clock }), await open({ clock })]
    for (let n = 1; n <= 3; n++) {
      const lease = await a.acquire(n * 100)
      await a.swap(
        [],
        [
          { key: `k${n}`, value: n, lease },
          { key: `l${n}`, value: n, lease },
        ],
      )
    }
    const seen: number[] = []
    for (let n = 0; n < 4; n++) {
      seen.push((await b.read('')).revision)
      await clock.advance(100)
    }
    expect(seen).toEqual([3, 4, 5, 6])
    await a.swap([], [{ key: 'k', value: 1 }])
    expect((await b.read('')).revision).toBe(7)
    expect(connect().reading(() => 1)).toBe(1)
    const left = connect()
    expect(left.reading(() => left.rows('SELECT count(*) FROM leases')[0]?.[0])).toBe(0)
  })
})

describe('locks', () => {
  it('none is left behind by calls that found the file locked', async () => {
    const store = await open({ waitMs: 20 })
    await store.swap([], [{ key: 'k', value: 1 }])
    store.watch('', new Told())
    const other = connect()
    other.exec('BEGIN EXCLUSIVE')
    for (let n = 0; n < 5; n++) {
      await expect(store.read('')).rejects.toMatchObject({ code: 'UND_STORE_AWAY' })
      await expect(store.swap([], [{ key: 'k', value: 2 }])).rejects.toMatchObject({ code: 'UND_STORE_AWAY' })
    }
    other.exec('COMMIT')
    for (let n = 0; n < 20; n++) {
      await store.read('')
      await new Promise((done) => setTimeout(done, 1))
      expect(locksOf(path)).toEqual([])
    }
    expect(await store.swap([], [{ key: 'k', value: 3 }])).toBe('done')
  })

  it('none is left behind by a statement that found the file locked and is not used again', () => {
    const [one, other] = [connect(), connect()]
    one.writing(() => {
      one.exec('CREATE TABLE t (x)')
      return { answer: undefined, keep: true }
    })
    const [first, second] = ['SELECT 1 FROM t', 'SELECT 2 FROM t']
    other.reading(() => [other.rows(first), other.rows(second)])
    one.exec('BEGIN EXCLUSIVE')
    expect(() => other.reading(() => other.rows(first))).toThrow(Busy)
    one.exec('COMMIT')
    other.reading(() => other.rows(second))
    expect(locksOf(path)).toEqual([])
  })

  it('a reader that stays keeps writers out for a bounded time, other readers go on', async () => {
    const store = await open({ waitMs: 50 })
    await store.swap([], [{ key: 'k', value: 1 }])
    const reader = connect()
    reader.exec('BEGIN; SELECT 1 FROM entry LIMIT 1')
    reader.rows('SELECT * FROM entry')
    await expect(store.swap([], [{ key: 'k', value: 2 }])).rejects.toMatchObject({ code: 'UND_STORE_AWAY' })
    expect((await store.read('')).entries.get('k')?.value).toBe(1)
    reader.exec('COMMIT')
    expect(await store.swap([], [{ key: 'k', value: 2 }])).toBe('done')
  })

  it('a write in progress is Busy for all others', () => {
    connect().writing(() => {
      const other = new Connection(path)
      connections.add(other)
      expect(() => other.configure()).toThrow(Busy)
      return { answer: undefined, keep: false }
    })
  })
})

/** The kernel's lines about locks on a file that this process holds. */
function locksOf(file: string): string[] {
  const { ino } = statSync(file)
  return readFileSync('/proc/locks', 'latin1')
    .split('\n')
    .filter((line) => line.includes(`:${ino} `) && line.includes(` ${process.pid} `))
}

describe('a file that is taken away from under a running store', () => {
  it('moved: nothing is read from it or written to it, and all is well when it is back', async () => {
    const store = await open()
    const told = new Told()
    store.watch('', told)
    await store.swap([], [{ key: 'k', value: 1 }])
    renameSync(path, `${path}.moved`)
    await expect(store.read('')).rejects.toMatchObject({ code: 'UND_STORE_DAMAGED' })
    await expect(store.swap([], [{ key: 'k', value: 2 }])).rejects.toMatchObject({ code: 'UND_STORE_DAMAGED' })
    await expect.poll(() => told.troubles.length).toBe(1)
    renameSync(`${path}.moved`, path)
    expect(await store.swap([], [{ key: 'k', value: 3 }])).toBe('done')
    await expect.poll(() => told.value('k')).toBe(3)
  })

  it('replaced by another one: refused', async () => {
    const store = await open()
    await store.swap([], [{ key: 'k', value: 1 }])
    renameSync(path, `${path}.moved`)
    const other = await open()
    expect((await other.read('')).revision).toBe(0)
    await expect(store.read('')).rejects.toMatchObject({ code: 'UND_STORE_DAMAGED' })
  })

  it('overwritten by an older copy of itself: refused, for revisions that were given out would be given out again', async () => {
    const store = await open()
    await store.swap([], [{ key: 'k', value: 1 }])
    copyFileSync(path, `${path}.backup`)
    for (let n = 2; n < 5; n++) await store.swap([], [{ key: 'k', value: n }])
    const told = new Told()
    store.watch('', told)
    await expect.poll(() => told.value('k')).toBe(4)
    writeFileSync(path, readFileSync(`${path}.backup`))
    await expect(store.read('')).rejects.toMatchObject({ code: 'UND_STORE_DAMAGED' })
    await expect(store.swap([], [{ key: 'k', value: 9 }])).rejects.toMatchObject({ code: 'UND_STORE_DAMAGED' })
    await expect.poll(() => told.troubles.length).toBe(1)
    expect((await (await open()).read('')).entries.get('k')?.value).toBe(1)
  })

  it('emptied: refused', async () => {
    const store = await open()
    await store.swap([], [{ key: 'k', value: 1 }])
    writeFileSync(path, '')
    await expect(store.swap([], [{ key: 'k', value: 2 }])).rejects.toMatchObject({ code: 'UND_STORE_DAMAGED' })
    expect(statSync(path).size).toBe(0)
  })
})

it('what a watcher throws is its own bug: it does not make the store look away', async () => {
  const clock = new VirtualClock()
  const store = await open({ clock })
  const troubles: Error[] = []
  store.watch('', {
    changed() {
      throw new Error('a bug of the watcher')
    },
    away: (error) => troubles.push(error),
  })
  const faults: string[] = []
  const stop = onFault((what, error) => faults.push(`${what}: ${error.message}`))
  await clock.advance(100)
  stop()
  expect(faults[0]).toBe('a watcher of the store: a bug of the watcher')
  expect(troubles).toEqual([])
})
