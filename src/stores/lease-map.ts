/**
 * What a store is, as one plain object: a map with a revision and leases, without clock, disk or waiting. The memory
 * store puts waiting and misbehaviour around it; the embedded store says the same in SQL. Read this file to know the
 * rules.
 *
 * The invariant: before anything else, every call ends the leases whose time has come (`#endLeases`), each end of a
 * lease with keys being one change. So a key of an ended lease is never seen, and a `now` that only grows makes a map
 * whose revision only grows.
 */
import { deepFreeze } from '../lib/deep-freeze.ts'
import type { CheckedWrite } from './requests.ts'
import type { Condition, Entry, LeaseId, Snapshot } from './store.ts'

interface Row {
  readonly json: string
  readonly revision: number
  readonly lease: LeaseId | undefined
}

export class LeaseMap {
  #revision = 0
  #leasesGiven = 0
  readonly #rows = new Map<string, Row>()
  readonly #leases = new Map<LeaseId, { readonly ttlMs: number; readonly endsAt: number }>()

  /** Of the last change. */
  get revision(): number {
    return this.#revision
  }

  read(prefix: string, now: number): Snapshot {
    this.#endLeases(now)
    const keys = [...this.#rows.keys()].filter((key) => key.startsWith(prefix)).sort()
    const entries = new Map<string, Entry>()
    for (const key of keys) {
      const row = this.#rows.get(key) as Row
      entries.set(key, Object.freeze({ value: deepFreeze(JSON.parse(row.json)), revision: row.revision }))
    }
    return Object.freeze({ revision: this.#revision, entries })
  }

  swap(conditions: readonly Condition[], writes: readonly CheckedWrite[], now: number): 'done' | 'conflict' {
    this.#endLeases(now)
    for (const { key, revision } of conditions) {
      if ((this.#rows.get(key)?.revision ?? 0) !== revision) return 'conflict'
    }
    for (const { lease } of writes) {
      if (lease !== undefined && !this.#leases.has(lease)) return 'conflict'
    }
    if (writes.length > 0) this.#revision += 1
    for (const { key, json, lease } of writes) {
      if (json === undefined) this.#rows.delete(key)
      else this.#rows.set(key, { json, revision: this.#revision, lease })
    }
    return 'done'
  }

  acquire(ttlMs: number, now: number): LeaseId {
    this.#endLeases(now)
    this.#leasesGiven += 1
    const lease = `lease-${this.#leasesGiven}`
    this.#leases.set(lease, { ttlMs, endsAt: now + ttlMs })
    return lease
  }

  /** False when the lease has ended. */
  renew(lease: LeaseId, now: number): boolean {
    this.#endLeases(now)
    const found = this.#leases.get(lease)
    if (!found) return false
    this.#leases.set(lease, { ttlMs: found.ttlMs, endsAt: now + found.ttlMs })
    return true
  }

  release(lease: LeaseId, now: number): void {
    this.#endLeases(now)
    this.#end(lease)
  }

  /** When the next lease ends, by the same clock that `now` comes from. */
  nextEnd(): number | undefined {
    let first: number | undefined
    for (const { endsAt } of this.#leases.values()) {
      if (first === undefined || endsAt < first) first = endsAt
    }
    return first
  }

  #endLeases(now: number): void {
    for (const [lease, { endsAt }] of this.#leases) {
      if (endsAt <= now) this.#end(lease)
    }
  }

  #end(lease: LeaseId): void {
    this.#leases.delete(lease)
    let hadKeys = false
    for (const [key, row] of this.#rows) {
      if (row.lease === lease) hadKeys = this.#rows.delete(key)
    }
    if (hadKeys) this.#revision += 1
  }
}
