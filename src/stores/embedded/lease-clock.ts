/**
 * When a lease of another process ends. CLOCK_MONOTONIC is one clock for all processes of this machine, so a lease's
 * end is one number that every process compares with the same clock (lease-times.ts keeps it). The clock starts anew
 * with the machine, so the number is worth something together with the boot that it was written in: a lease of another
 * boot has ended, for its holder died with the machine.
 *
 * A lease ends by time, not by a write. Readers cannot write, so between a lease's end and the next write its rows are
 * still there, and every process has to draw the same conclusion from them:
 *
 *     what a reader shows  =  the rows, without the keys of ended leases, at revision
 *                             (stored revision + how many ended leases have keys)
 *     what a writer does   =  first make exactly that true in the file, then its own change
 *
 * So the revision that a reader shows right after a lease's end is the one that the next writer stores, and `revision:
 * 0` in a condition holds for such a key from the end on. That it never goes back follows from: an ended lease cannot
 * be renewed (the renewal looks at the same clock under the same lock), so the number of ended leases only grows until
 * a writer stores it.
 */
import { readFileSync } from 'node:fs'
import type { LeaseId } from '../store.ts'
import type { LeaseTimes } from './lease-times.ts'
import type { Connection } from './sqlite-connection.ts'

/** Now, as leases count it. */
export interface Moment {
  readonly boot: string
  /** Milliseconds on this boot's monotonic clock. */
  readonly now: number
}

/** What holds the leases: rows here, ends there, both under one lock. */
export interface LeaseBooks {
  readonly file: Connection
  readonly times: LeaseTimes
}

/** Changes with every start of the machine; containers of one machine share it, as they share the clock. */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
}

/** When it ends; minus infinity when that was in another boot. */
export function endOf(times: LeaseTimes, moment: Moment, boot: unknown, slot: unknown, number: unknown): number {
  return boot === moment.boot ? times.endsAt(slot, number) : Number.NEGATIVE_INFINITY
}

/** Removes what has ended, keys included. Returns how many of the leases had keys: by so much the revision grows. */
export function removeEnded({ file, times }: LeaseBooks, moment: Moment): number {
  let withKeys = 0
  for (const [id, boot, slot, number] of file.rows('SELECT id, boot, slot, number FROM leases')) {
    const hasEnded = endOf(times, moment, boot, slot, number) <= moment.now
    if (hasEnded && removeLease(file, String(id)) > 0) withKeys += 1
  }
  return withKeys
}

/** Removes a lease and its keys; returns how many keys. */
export function removeLease(file: Connection, lease: LeaseId): number {
  const keys = file.run('DELETE FROM entry WHERE lease = ?', lease)
  file.run('DELETE FROM leases WHERE id = ?', lease)
  return keys
}

/** A new lease, after what has ended was removed: its place is the first that no other has. Returns its id. */
export function addLease({ file, times }: LeaseBooks, ttlMs: number, moment: Moment, chance: number): LeaseId {
  file.run('UPDATE meta SET leases_given = leases_given + 1')
  const number = Number(file.rows('SELECT leases_given FROM meta')[0]?.[0])
  // One file never gives out a number twice; the other part tells it from one of a file restored from a backup.
  const id = `${number}-${Math.floor(chance * 2 ** 32).toString(36)}`
  const taken = new Set(file.rows('SELECT slot FROM leases').map(([slot]) => Number(slot)))
  let slot = 0
  while (taken.has(slot)) slot += 1
  const sql = 'INSERT INTO leases (id, number, boot, ttl_ms, slot) VALUES (?, ?, ?, ?, ?)'
  file.run(sql, id, number, moment.boot, ttlMs, slot)
  times.write(slot, number, moment.now + ttlMs)
  return id
}

/** Gives a lease its full time again; false when it has ended. Writes no row. */
export function extendLease({ file, times }: LeaseBooks, lease: LeaseId, moment: Moment): boolean {
  const [row] = file.rows('SELECT boot, slot, number, ttl_ms FROM leases WHERE id = ?', lease)
  if (!row) return false
  const [boot, slot, number, ttlMs] = row
  if (endOf(times, moment, boot, slot, number) <= moment.now) return false
  times.write(Number(slot), Number(number), moment.now + Number(ttlMs))
  return true
}

/** After what has ended was removed: is it still there? */
export function isAlive(file: Connection, lease: LeaseId): boolean {
  return file.rows('SELECT 1 FROM leases WHERE id = ?', lease).length > 0
}

/** Gives every lease of this boot whose end is not known a full time from now: its holder cannot believe in more. */
export function completeTimes({ file, times }: LeaseBooks, moment: Moment): void {
  for (const [boot, slot, number, ttlMs] of file.rows('SELECT boot, slot, number, ttl_ms FROM leases')) {
    if (boot !== moment.boot || times.find(Number(slot), Number(number)) !== undefined) continue
    times.write(Number(slot), Number(number), moment.now + Number(ttlMs))
  }
}
