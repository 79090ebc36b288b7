/**
 * Any sequence of calls on any of three handles, with time passing in between, gives what a model of a few lines gives.
 * The model keeps every lease's end as a number and never removes anything early: it is slow, plain and independent of
 * both stores.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hasCode } from '../errors.ts'
import { seededRandom } from '../lib/random.ts'
import { VirtualClock } from '../lib/virtual-clock.ts'
import { openEmbeddedStore } from './embedded/open.ts'
import { MemoryCluster } from './memory.ts'
import type { Store } from './store.ts'

const KEYS = ['a', 'a/1', 'a/2', 'b', 'lead/x']

type Step =
  | { readonly do: 'read'; readonly prefix: string }
  | { readonly do: 'swap'; readonly conditions: readonly Guess[]; readonly writes: readonly Put[] }
  | { readonly do: 'acquire'; readonly ttlMs: number }
  | { readonly do: 'renew' | 'release'; readonly lease: number }
  | { readonly do: 'pass'; readonly ms: number }

/** A condition: about the key as it is, as absent, or as it was some revisions ago. */
interface Guess {
  readonly key: string
  readonly as: 'is' | 'absent' | 'was'
}
interface Put {
  readonly key: string
  readonly value: unknown
  /** Which of the leases acquired so far; none when there are fewer. */
  readonly lease: number | undefined
}

const key = fc.constantFrom(...KEYS)
const lease = fc.nat({ max: 5 })
const value = fc.oneof({ weight: 3, arbitrary: fc.jsonValue({ maxDepth: 1 }) }, fc.constant(undefined))
const guess = fc.record({ key, as: fc.constantFrom<Guess['as']>('is', 'is', 'is', 'absent', 'was') })
const puts = fc.uniqueArray(fc.record({ key, value, lease: fc.option(lease, { nil: undefined }) }), {
  selector: (put) => put.key,
  maxLength: 3,
})
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('read' as const), prefix: fc.constantFrom('', 'a', 'a/', 'z') }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('swap' as const),
      conditions: fc.array(guess, { maxLength: 2 }),
      writes: puts,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('acquire' as const), ttlMs: fc.integer({ min: 1, max: 50 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('renew' as const, 'release' as const), lease }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.nat({ max: 30 }) }) },
)

interface ModelLease {
  readonly id: string
  readonly ttlMs: number
  endsAt: number
}

class Model {
  readonly rows = new Map<string, { json: string; revision: number; lease: ModelLease | undefined }>()
  readonly leases: ModelLease[] = []

  show(now: number, prefix = ''): Record<string, { value: unknown; revision: number }> {
    const alive = [...this.rows].filter(
      ([name, row]) => name.startsWith(prefix) && (row.lease?.endsAt ?? now + 1) > now,
    )
    const sorted = alive.sort(([x], [y]) => (x < y ? -1 : 1))
    return Object.fromEntries(
      sorted.map(([name, row]) => [name, { value: JSON.parse(row.json), revision: row.revision }]),
    )
  }
}

function plain(snapshot: Awaited<ReturnType<Store['read']>>): Record<string, unknown> {
  return Object.fromEntries([...snapshot.entries].map(([name, entry]) => [name, { ...entry }]))
}

/** Runs the steps on the stores in turn and on the model; throws where they differ. */
async function compare(stores: readonly Store[], clock: VirtualClock, steps: readonly Step[]): Promise<void> {
  const model = new Model()
  let last = { revision: 0, shown: '{}' }
  for (const [n, one] of steps.entries()) {
    const store = stores[n % stores.length] as Store
    await perform(one, store, model, clock)
    const whole = await (stores[(n + 1) % stores.length] as Store).read('')
    expect(plain(whole), `after step ${n}`).toEqual(model.show(clock.mono()))
    const shown = JSON.stringify(plain(whole))
    if (shown !== last.shown) expect(whole.revision, 'a change without a new revision').toBeGreaterThan(last.revision)
    expect(whole.revision, 'the revision went back').toBeGreaterThanOrEqual(last.revision)
    last = { revision: whole.revision, shown }
  }
}

async function perform(one: Step, store: Store, model: Model, clock: VirtualClock): Promise<void> {
  const now = clock.mono()
  if (one.do === 'pass') return clock.advance(one.ms)
  if (one.do === 'read') {
    expect(plain(await store.read(one.prefix))).toEqual(model.show(now, one.prefix))
    return
  }
  if (one.do === 'acquire') {
    model.leases.push({ id: await store.acquire(one.ttlMs), ttlMs: one.ttlMs, endsAt: now + one.ttlMs })
    return
  }
  if (one.do === 'swap') return swap(one, store, model, now)
  const found = model.leases[one.lease]
  const id = found?.id ?? 'none'
  const lives = found !== undefined && found.endsAt > now
  if (one.do === 'release') {
    await store.release(id)
    if (lives) found.endsAt = now
    return
  }
  const answer = await store.renew(id).then(
    () => true,
    (error: unknown) => !hasCode(error, 'UND_LEASE_LOST'),
  )
  expect(answer, 'renew').toBe(lives)
  if (lives) found.endsAt = now + found.ttlMs
}

async function swap(one: Step & { do: 'swap' }, store: Store, model: Model, now: number): Promise<void> {
  const shown = model.show(now)
  const conditions = one.conditions.map(({ key: name, as }) => {
    const is = shown[name]?.revision ?? 0
    return { key: name, revision: as === 'is' ? is : as === 'absent' ? 0 : Math.max(0, is - 1) }
  })
  const writes = one.writes.map((put) => ({
    put,
    lease: put.lease === undefined ? undefined : model.leases[put.lease],
  }))
  const holds = conditions.every(({ key: name, revision }) => (shown[name]?.revision ?? 0) === revision)
  const alive = writes.every(({ put, lease: tied }) => put.value === undefined || !tied || tied.endsAt > now)
  const asked = writes.map(({ put, lease: tied }) => {
    return tied ? { key: put.key, value: put.value, lease: tied.id } : { key: put.key, value: put.value }
  })
  expect(await store.swap(conditions, asked), 'swap').toBe(holds && alive ? 'done' : 'conflict')
  if (!holds || !alive) return
  const { revision } = await store.read('')
  for (const { put, lease: tied } of writes) {
    if (put.value === undefined) model.rows.delete(put.key)
    else model.rows.set(put.key, { json: JSON.stringify(put.value), revision, lease: tied })
  }
}

describe('any sequence of calls gives what the model gives', () => {
  it('memory', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const clock = new VirtualClock()
        const cluster = new MemoryCluster({ clock })
        await compare([cluster.open(), cluster.open(), cluster.open()], clock, steps)
      }),
      { numRuns: 300 },
    )
  })

  it('embedded', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'understudy-store-'))
    let file = 0
    try {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
          const clock = new VirtualClock()
          const path = join(folder, `store-${file++}.db`)
          const open = () => openEmbeddedStore({ path, clock, random: seededRandom(1) })
          const stores = [await open(), await open(), await open()]
          try {
            await compare(stores, clock, steps)
          } finally {
            for (const store of stores) await store.close()
          }
        }),
        { numRuns: 60 },
      )
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
