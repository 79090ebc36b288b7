/**
 * When a lease of another process ends. CLOCK_MONOTONIC is one clock for all processes of this machine, so a lease's end
 * is one number in the file that everybody compares with the same clock. The clock starts anew with the machine, so the
 * number is worth something together with the boot that it was written in: a lease of another boot has ended, for its
 * holder died with the machine.
 *
 * A lease ends by time, not by a write. Readers cannot write, so between a lease's end and the next write its rows are
 * still there, and everybody has to draw the same conclusion from them:
 *
 *   what a reader shows  =  the rows, without the keys of ended leases, at revision
 *                           (stored revision + how many ended leases have keys)
 *   what a writer does   =  first make exactly that true in the file, then its own change
 *
 * So the revision that a reader shows right after a lease's end is the one that the next writer stores, and `revision: 0`
 * in a condition holds for such a key from the end on. That it never goes back follows from: an ended lease cannot be
 * renewed (the writer that tries removes it first), so the number of ended leases only grows until a writer stores it.
 */
import { readFileSync } from 'node:fs'
import type { LeaseId } from '../store.ts'
import type { Connection } from './connection.ts'

/** Now, as leases count it. */
export interface Moment {
  readonly boot: string
  /** Milliseconds on this boot's monotonic clock. */
  readonly now: number
}

/** Changes with every start of the machine; containers of one machine share it, as they share the clock. */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
}

export function hasEnded(moment: Moment, boot: unknown, endsAt: unknown): boolean {
  return boot !== moment.boot || Number(endsAt) <= moment.now
}

/** Removes what has ended, keys included. Returns how many of the leases had keys: by so much the revision grows. */
export function removeEnded(file: Connection, moment: Moment): number {
  let withKeys = 0
  for (const [id, boot, endsAt] of file.rows('SELECT id, boot, ends_at FROM lease')) {
    if (hasEnded(moment, boot, endsAt) && removeLease(file, String(id)) > 0) withKeys += 1
  }
  return withKeys
}

/** Removes a lease and its keys; returns how many keys. */
export function removeLease(file: Connection, lease: LeaseId): number {
  const keys = file.run('DELETE FROM entry WHERE lease = ?', lease)
  file.run('DELETE FROM lease WHERE id = ?', lease)
  return keys
}

export function addLease(file: Connection, lease: LeaseId, ttlMs: number, moment: Moment): void {
  const sql = 'INSERT INTO lease (id, boot, ttl_ms, ends_at) VALUES (?, ?, ?, ?)'
  file.run(sql, lease, moment.boot, ttlMs, moment.now + ttlMs)
}

/** Gives a lease its full time again; false when there is no such lease (any more). */
export function extendLease(file: Connection, lease: LeaseId, moment: Moment): boolean {
  return file.run('UPDATE lease SET ends_at = ? + ttl_ms WHERE id = ?', moment.now, lease) > 0
}

export function isAlive(file: Connection, lease: LeaseId): boolean {
  return file.rows('SELECT 1 FROM lease WHERE id = ?', lease).length > 0
}
