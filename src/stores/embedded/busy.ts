/**
 * Waiting for a lock without standing in the way. SQLite's own wait (busy_timeout) sleeps inside the call: it blocks the
 * event loop, and its growing pauses starve one process for seconds while others get through. So SQLite is told not to
 * wait at all, and waiting is a few milliseconds of chance between attempts, with everything else going on.
 */

import type { Clock } from '../../lib/clock.ts'
import { sleep } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'

/** Another process, or another handle of this one, holds the lock. Never leaves the embedded store. */
export class Busy extends Error {
  override readonly name = 'Busy'
}

/** The longest pause between two attempts. A transaction takes 1 to 2 ms, so the lock is often free by then. */
export const RETRY_WITHIN_MS = 3

export interface Patience {
  readonly clock: Clock
  readonly random: Random
  /** How long to go on trying, in milliseconds. */
  readonly limitMs: number
}

/**
 * Attempts until it is not busy. After `limitMs` it throws what `givenUp` returns: then nothing was done, since an
 * attempt that found the lock held changed nothing.
 */
export async function whenFree<T>(patience: Patience, attempt: () => T, givenUp: () => Error): Promise<T> {
  const { clock, random, limitMs } = patience
  const giveUpAt = clock.mono() + limitMs
  for (;;) {
    const waited = clock.mono() >= giveUpAt
    try {
      return attempt()
    } catch (error) {
      if (!(error instanceof Busy)) throw error
    }
    if (waited) throw givenUp()
    await sleep(clock, random() * RETRY_WITHIN_MS)
  }
}
