/** How a config comes into the store, how long it is kept there, and what an agent takes from there. */
import { describe, expect, test } from 'vitest'
import { cluster, web } from '../../test/made-up.ts'
import { CONFIG_SCHEMA, unwritten } from '../core/config-record.ts'
import type { ConfigRecord } from '../core/records.ts'
import type { Revised } from '../core/store-facts.ts'
import { VirtualClock } from '../lib/virtual-clock.ts'
import { MemoryCluster } from '../stores/memory.ts'
import type { Store } from '../stores/store.ts'
import { AgreedRecords, KEY } from './agreed-records.ts'
import {
  KEPT_CONFIGS,
  MOST_SOURCE_BYTES,
  nextRecord,
  readHistory,
  readPastConfig,
  writeConfig,
} from './config-store.ts'
import { LiveConfig } from './live-config.ts'

const WHO = { run: 'r', at: 1_000, by: 'ann@host', message: 'why', version: '1.0.0' }
const one = cluster([web()])
const two = cluster([web(), web({ name: 'api' })])

function newStore(): Store {
  return new MemoryCluster({ clock: new VirtualClock() }).open()
}

async function found(store: Store) {
  const agreed = new AgreedRecords()
  agreed.take(await store.read(''))
  return agreed.config
}

async function change(store: Store, spec: typeof one, who = WHO): Promise<ConfigRecord> {
  const before = await found(store)
  const record = nextRecord(before, spec, who)
  expect(await writeConfig(store, before, record, { name: 'x.ts', text: `// ${record.number}` })).toBe('done')
  return record
}

describe('writing', () => {
  test('each change has the next number, and its text can be read again', async () => {
    const store = newStore()
    await change(store, one)
    await change(store, two)
    expect(await found(store)).toMatchObject({ number: 2, by: 'ann@host', spec: two, leaving: [], removed: [] })
    expect((await readHistory(store)).map(({ number }) => number)).toEqual([2, 1])
    expect(await readPastConfig(store, 1)).toMatchObject({
      number: 1,
      spec: one,
      source: { name: 'x.ts', text: '// 1' },
    })
    expect(await readPastConfig(store, 3)).toBeUndefined()
  })

  test('of two changes at once one is refused', async () => {
    const store = newStore()
    const before = await found(store)
    const answers = await Promise.all(
      [one, two].map((spec) => writeConfig(store, before, nextRecord(before, spec, WHO), null)),
    )
    expect(answers.toSorted()).toEqual(['conflict', 'done'])
  })

  test('the last ones are kept', async () => {
    const store = newStore()
    for (let count = 0; count < KEPT_CONFIGS + 3; count++) await change(store, count % 2 === 0 ? one : two)
    const numbers = (await readHistory(store)).map(({ number }) => number)
    expect(numbers).toHaveLength(KEPT_CONFIGS)
    expect(numbers[0]).toBe(KEPT_CONFIGS + 3)
  })

  test('a text that is too long is refused and nothing is written', async () => {
    const store = newStore()
    const source = { name: 'x.ts', text: 'x'.repeat(MOST_SOURCE_BYTES + 1) }
    await expect(writeConfig(store, undefined, nextRecord(undefined, one, WHO), source)).rejects.toThrow('256 KiB')
    expect(await found(store)).toBeUndefined()
  })

  test('what a config no longer names is kept in mind until it is gone', async () => {
    const store = newStore()
    await change(store, two)
    const nodes = two.nodes.slice(0, 2)
    expect(await change(store, { ...one, nodes })).toMatchObject({
      leaving: [two.nodes[2]],
      removed: [two.services[1]],
    })
    expect(await change(store, two)).toMatchObject({ leaving: [], removed: [] })
  })

  test('in another run no node leaves, and what was removed is kept in mind: its data is not set aside yet', async () => {
    const store = newStore()
    await change(store, two)
    const [removed, nodes] = [[two.services[1]], two.nodes.slice(0, 2)]
    expect(await change(store, { ...one, nodes }, { ...WHO, run: 's' })).toMatchObject({
      number: 2,
      leaving: [],
      removed,
    })
    expect(await change(store, { ...one, nodes }, { ...WHO, run: 't' })).toMatchObject({ number: 2, run: 't', removed })
    expect(await change(store, two, { ...WHO, run: 'u' })).toMatchObject({ number: 3, leaving: [], removed: [] })
  })
})

describe('what an agent acts on', () => {
  const none = () => false
  const kept = unwritten(one, { run: 'r' })
  const stored = (change: Partial<Revised<ConfigRecord>> = {}) => ({
    ...nextRecord(undefined, two, WHO),
    revision: 7,
    ...change,
  })

  test('the one on its disk until the store has one of this run', () => {
    const live = new LiveConfig(kept, 'r')
    expect(live.see(undefined, none)).toBe(false)
    expect(live.toWrite(undefined)).toBe(kept)
    expect(live.see(stored({ run: 'earlier' }), none)).toBe(false)
    expect(live.toWrite(stored({ run: 'earlier' }))).toBe(kept)
    expect(live.see(stored(), none)).toBe(true)
    expect(live.toWrite(stored())).toBeUndefined()
    expect(live.record.spec).toBe(two)
  })

  test('never an older one', () => {
    const live = new LiveConfig(kept, 'r')
    live.see(stored(), none)
    expect(live.see(stored({ spec: one, revision: 6 }), none)).toBe(false)
    expect(live.see(stored(), none)).toBe(false)
    expect(live.record.spec).toBe(two)
  })

  test('with what it still has of a service that even the list of removed ones says nothing of any more', () => {
    const live = new LiveConfig(unwritten(two, { run: 'r' }), 'r')
    const gone = stored({ spec: { ...two, services: [] }, removed: [] })
    const held = two.services[0]?.name ?? ''
    expect(live.see(gone, (name) => name === held)).toBe(true)
    expect(live.facts().removed.map(({ name }) => name)).toEqual([held])
    expect(live.see({ ...gone, revision: 8 }, none)).toBe(true)
    expect(live.facts().removed).toEqual([])
  })

  test('not one that a later version wrote: it says so, and writes nothing over it', () => {
    const live = new LiveConfig(kept, 'r')
    const later = stored({ schema: CONFIG_SCHEMA + 1, version: '9.0.0' })
    expect(live.see(later, none)).toBe(false)
    expect(live.toWrite(later)).toBeUndefined()
    expect(live.facts().refused).toContain('9.0.0')
    expect(live.see(stored({ revision: 8 }), none)).toBe(true)
    expect(live.facts().refused).toBeUndefined()
  })

  test('a record of a later schema is recognised whatever else is in it', async () => {
    const store = newStore()
    await store.swap([], [{ key: KEY.config, value: { schema: CONFIG_SCHEMA + 1, number: 3, version: '9.0.0' } }])
    expect(await found(store)).toMatchObject({ number: 3 })
  })

  test('wishes are laid over it, and the object stays the same as long as they do', () => {
    const live = new LiveConfig(unwritten(one, { run: 'r' }), 'r')
    const wishes = { sizes: {}, wishes: { web: { restarts: 2, stopped: { at: 1, by: 'ann' }, revision: 3 } } }
    expect(live.cluster(wishes).services[0]).toMatchObject({ restarts: 2, stopped: true })
    expect(live.cluster(wishes)).toBe(live.cluster(wishes))
  })
})
