/**
 * Where the cluster agrees. Seven verbs, the same meaning on every engine (stores/contract/store-contract.ts holds each
 * adapter to it):
 *
 * - All keys and values form one map with one `revision` that grows with every change.
 * - `swap` is the only way to change it: all conditions hold and all writes happen, or nothing happens.
 * - A key may be tied to a lease; it is gone at the moment the lease ends, however it ends. The end of a lease that has
 *   keys is a change like any other: the revision grows by it, and watchers are told.
 *
 * A lease's holder counts from BEFORE it sent the request (core/lease.ts); the store counts from when it handled it. So
 * the holder always believes its lease to end before the store does, whatever the network did in between.
 *
 * Errors, all UnderstudyError: UND_STORE_AWAY (certainly not done, try again), UND_STORE_UNKNOWN (a change that may
 * have happened: read before anything else), UND_STORE_DAMAGED, UND_STORE_READ_ONLY, UND_STORE_FULL (not done). A
 * request that no store could carry out (stores/requests.ts) is a bug of the caller and rejects with AssertionError.
 */
import type { Stop } from '../lib/stop.ts'

export interface Store {
  /** Every entry whose key starts with `prefix`, at one revision. Linearizable: sees every swap that was answered before. */
  read(prefix: string): Promise<Snapshot>

  /**
   * Calls `changed` soon after anything under `prefix` changes (a lease's end included), with a whole snapshot, never an
   * older one after a newer one; intermediate states may be skipped. Calls `away` once when the store stops answering and
   * `changed` again when it is back. The first call comes soon after watching starts, and none comes from within `watch`
   * itself or after the watch was stopped.
   */
  watch(prefix: string, watcher: Watcher): Stop

  /** Compare, then write, atomically. Resolves to `conflict` when a condition did not hold; then nothing was written. */
  swap(conditions: readonly Condition[], writes: readonly Write[]): Promise<'done' | 'conflict'>

  /** A new lease that lives for `ttlMs` from when the store handled the request. Its id is never given out again. */
  acquire(ttlMs: number): Promise<LeaseId>

  /** Lives for its full time again. Rejects with UND_LEASE_LOST when it has ended: it never comes back to life. */
  renew(lease: LeaseId): Promise<void>

  /** Ends the lease now, and with it every key tied to it. Releasing an ended lease is not an error. */
  release(lease: LeaseId): Promise<void>

  /**
   * Stops watching and lets go of files and sockets. Leases are NOT released: they end by themselves. Whatever is asked
   * of a closed store rejects with UND_STORE_AWAY.
   */
  close(): Promise<void>
}

export interface Watcher {
  changed(snapshot: Snapshot): void
  away(error: Error): void
}

export type LeaseId = string

export interface Entry {
  /** Plain JSON, frozen. */
  readonly value: unknown
  /** The revision at which this key was last written: what `Condition.revision` compares. */
  readonly revision: number
}

export interface Snapshot {
  /** Of the whole map, not of the prefix: two snapshots with the same revision show the same map. */
  readonly revision: number
  /** In the order of their keys. */
  readonly entries: ReadonlyMap<string, Entry>
}

/** The key was last written at `revision`; 0 means: there is no such key (its lease may have ended). */
export interface Condition {
  readonly key: string
  readonly revision: number
}

/**
 * `undefined` removes the key. A write that names a lease which has ended fails the swap as `conflict`. A write that
 * names no lease unties the key from the one it had: it stays. One swap writes a key at most once.
 */
export interface Write {
  readonly key: string
  readonly value: unknown
  readonly lease?: LeaseId
}
