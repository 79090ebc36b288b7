/**
 * How long a lead may be believed. A lease is a promise of the store: no other node gets it until then. Holder and
 * store use different clocks and a request takes time, so the holder counts from BEFORE it sent the request and the
 * store from when it handled it. The holder therefore always gives up first, whatever the network did in between.
 *
 *     holder:  |sent ───────── ttl ─────────| endsAt
 *     store:        |handled ───────── ttl ─────────| another node may take it
 *
 * One lease of a node carries all its leads (agent/leads.ts), so a lead is valid for what is left of that lease.
 *
 * Killing takes time as well, so the kill is due `LEASE_MARGIN` before the end. Counting from the reply (as several
 * well-known programs do) would let both sides run for as long as the reply was under way.
 */
import { assert } from '../lib/assert.ts'

export interface Lease {
  readonly id: string
  readonly ttlMs: number
  /** On the holder's monotonic clock: after this, nothing may be done in the lease's name. */
  readonly endsAt: number
}

/** Of its time, the part kept for the kill itself: a quarter of short leases, 250 ms of long ones. */
const MARGIN_SHARE = 0.25
const MARGIN_MAX_MS = 250

/** Four tries before it ends: one lost renewal is nothing, three in a row are a reason to stop. */
const RENEWALS_PER_TTL = 4

export function leaseGranted(lease: { id: string; ttlMs: number }, sentAt: number): Lease {
  assert(lease.ttlMs > 0, `a lease of ${lease.ttlMs} ms is none`)
  return { ...lease, endsAt: sentAt + lease.ttlMs }
}

/** The lease after a renewal that was sent at `sentAt` and answered: never shorter than it was. */
export function leaseRenewed(lease: Lease, sentAt: number): Lease {
  return { ...lease, endsAt: Math.max(lease.endsAt, sentAt + lease.ttlMs) }
}

/** When whatever runs in the lease's name must be killed for it to be dead when the lease ends. */
export function killAt(lease: Lease): number {
  return lease.endsAt - Math.min(MARGIN_MAX_MS, lease.ttlMs * MARGIN_SHARE)
}

/** When to ask for more time. */
export function renewEveryMs(lease: Lease): number {
  return lease.ttlMs / RENEWALS_PER_TTL
}

export function endsInMs(lease: Lease, now: number): number {
  return Math.max(0, lease.endsAt - now)
}
