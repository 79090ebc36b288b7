/** Where a contract case takes place, and what cases have in common. */
import { type ErrorCode, hasCode } from '../../errors.ts'
import { AssertionError, assert } from '../../lib/assert.ts'
import type { Clock } from '../../lib/clock.ts'
import type { LeaseId, Snapshot, Store, Watcher } from '../store.ts'

export interface StoreWorld {
  /** The clock that the store counts leases on. */
  readonly clock: Clock
  /** One more handle on the same, at first empty, store. The maker of the world closes them all afterwards. */
  open(): Promise<Store>
  /** Lets time pass: waits on a real clock, moves a virtual one. */
  pass(ms: number): Promise<void>
}

export interface ContractCase {
  readonly name: string
  run(world: StoreWorld): Promise<void>
}

/** Longer than any case takes: for leases that must not end by time. */
export const LONG_MS = 600_000
/** For leases whose end is waited for. */
export const SHORT_MS = 60

/** Waits until something holds; a case that waits in vain fails after 5 s and says for what. */
export async function until(world: StoreWorld, what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = world.clock.mono() + 5_000
  while (!(await holds())) {
    assert(world.clock.mono() < deadline, `did not come about: ${what}`)
    await world.pass(2)
  }
}

export async function rejects(what: Promise<unknown>, code: ErrorCode): Promise<void> {
  const outcome = await what.then(
    () => 'it was done',
    (error: unknown) => (hasCode(error, code) ? undefined : error),
  )
  assert(outcome === undefined, `expected ${code}, but: ${String(outcome)}`)
}

export async function rejectsAsBug(what: Promise<unknown>): Promise<void> {
  const error: unknown = await what.then(
    () => 'it was done',
    (reason: unknown) => reason,
  )
  assert(error instanceof Error && error.name === 'AssertionError', `expected AssertionError, but: ${String(error)}`)
}

export function same(actual: unknown, expected: unknown, what: string): void {
  const [is, should] = [JSON.stringify(actual), JSON.stringify(expected)]
  assert(is === should, `${what}: expected ${should}, got ${is}`)
}

/** The values under a prefix, as one object. */
export async function values(store: Store, prefix = ''): Promise<Record<string, unknown>> {
  return valuesOf(await store.read(prefix))
}

export function valuesOf(snapshot: Snapshot): Record<string, unknown> {
  return Object.fromEntries([...snapshot.entries].map(([key, entry]) => [key, entry.value]))
}

export async function revisionOf(store: Store, key: string): Promise<number> {
  return (await store.read(key)).entries.get(key)?.revision ?? 0
}

/** Writes without conditions; fails the case when the store does not do it. */
export async function put(store: Store, key: string, value: unknown, lease?: string): Promise<void> {
  const answer = await store.swap([], [lease === undefined ? { key, value } : { key, value, lease }])
  same(answer, 'done', `writing ${key}`)
}

/** A key on a new short lease. On a machine that is held up, the lease may have ended before the key was written: again. */
export async function hold(world: StoreWorld, store: Store, key: string, ttlMs = SHORT_MS): Promise<Held> {
  for (let tries = 0; tries < 50; tries++) {
    const sentAt = world.clock.mono()
    const lease = await store.acquire(ttlMs)
    const answeredAt = world.clock.mono()
    const answer = await store.swap([], [{ key, value: 1, lease }])
    if (answer === 'done') return { lease, sentAt, answeredAt }
    assert(world.clock.mono() >= sentAt + ttlMs, 'a write on a lease that lives was a conflict')
  }
  throw new AssertionError('this machine is held up for longer than a lease, again and again')
}

export interface Held {
  readonly lease: LeaseId
  /** Just before the lease was asked for, and just after it was there: it began in between. */
  readonly sentAt: number
  readonly answeredAt: number
}

/** Writes down what a watcher is told, and holds it to the order that the port promises. */
export class Told implements Watcher {
  readonly snapshots: Snapshot[] = []
  readonly troubles: Error[] = []

  changed(snapshot: Snapshot): void {
    const before = this.last
    assert(!before || snapshot.revision >= before.revision, 'an older snapshot came after a newer one')
    this.snapshots.push(snapshot)
  }

  away(error: Error): void {
    this.troubles.push(error)
  }

  get last(): Snapshot | undefined {
    return this.snapshots.at(-1)
  }

  value(key: string): unknown {
    return this.last?.entries.get(key)?.value
  }
}
