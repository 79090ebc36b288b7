/**
 * Which run of the machine this is. Pids, start times and readings of the monotonic clock mean something within one
 * boot only, so a file that holds them holds this as well.
 */
import { readFileSync } from 'node:fs'

export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
}
