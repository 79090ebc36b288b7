/** Before an agent is loaded, the leases that the one before left get more time, and the fence with them. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { InstanceRecord } from '../drivers/process/instance-record.ts'
import { assert } from '../lib/assert.ts'
import { bootId } from '../lib/boot.ts'
import { identify } from '../lib/proc.ts'
import { VirtualClock } from '../lib/virtual-clock.ts'
import { MemoryCluster, type MemoryStore } from '../stores/memory.ts'
import { renewOnce } from './first-renewal.ts'

let nodeDir: string
let clock: VirtualClock
let store: MemoryStore
let said: string[]
/** This test's own process stands in for the single writer: it lives. */
const self = identify(process.pid)

beforeEach(() => {
  nodeDir = mkdtempSync(join(tmpdir(), 'understudy-first-'))
  mkdirSync(join(nodeDir, 'instances'))
  clock = new VirtualClock(10_000)
  store = new MemoryCluster({ clock }).open()
  said = []
})
afterEach(() => rmSync(nodeDir, { recursive: true, force: true }))

const fence = {
  arm: async (service: string, identity: { pid: number }, killAtMono: number) => {
    said.push(`${service} ${identity.pid === self?.pid} ${killAtMono}`)
  },
}
const round = () => renewOnce({ node: 'a', nodeDir, clock, store, fence })

async function lead(service: string, { node = 'a', term = 3, ttlMs = 2_000, lease = '' } = {}): Promise<string> {
  const id = lease || (await store.acquire(ttlMs))
  await store.swap([], [{ key: `lead/${service}`, value: { node, term, lease: id, ttlMs }, lease: id }])
  return id
}

function runs(service: string, change: Partial<InstanceRecord> = {}): void {
  assert(self, 'this process is there')
  const record: InstanceRecord = {
    bootId: bootId(),
    phase: 'open',
    identity: self,
    role: 'primary',
    term: 3,
    told: true,
    port: 1,
    startedAtMono: 0,
    wasHealthy: true,
    failures: 0,
    retryAtMono: 0,
    note: '',
    ...change,
  }
  writeFileSync(join(nodeDir, 'instances', `${service}.json`), JSON.stringify(record))
}

test('one renewal carries all leads of the lease, and each process that runs under it gets the later deadline', async () => {
  const lease = await lead('one')
  await lead('two', { lease })
  runs('one')
  runs('two')
  await clock.advance(1_500)
  expect(await round()).toBe(500)
  expect(said.sort()).toEqual(['one true 13250', 'two true 13250'])
  await clock.advance(1_900)
  expect((await store.read('lead/')).entries.size).toBe(2)
})

test('a lease that has ended gives nothing more time', async () => {
  await lead('one')
  runs('one')
  await clock.advance(2_000)
  expect([await round(), said]).toEqual([undefined, []])
})

for (const [what, change, of] of [
  ['a process of another term', { term: 2 }, {}],
  ['a standby', { role: 'standby' }, {}],
  ['a process that has ended', { phase: 'ended' }, {}],
  ['a process of an earlier boot', { bootId: 'earlier' }, {}],
  ['a number that was given out again', { identity: { pid: process.pid, startTime: 1 } }, {}],
  ['a lead of another node', {}, { node: 'b' }],
] as const) {
  test(`${what} gets no more time`, async () => {
    await lead('one', of)
    runs('one', change)
    expect([await round(), said]).toEqual([undefined, []])
  })
}

test('a lead that is lost between the renewal and the look gets no more time', async () => {
  await lead('one')
  runs('one')
  const real = store.renew.bind(store)
  store.renew = async (id) => {
    await real(id)
    await store.swap([], [{ key: 'lead/one', value: undefined }])
  }
  expect([await round(), said]).toEqual([500, []])
})

test('the deadline is counted from before the renewal was sent', async () => {
  await lead('one')
  runs('one')
  const real = store.renew.bind(store)
  store.renew = async (id) => {
    await clock.advance(300)
    await real(id)
  }
  await round()
  expect(said).toEqual(['one true 11750'])
})
