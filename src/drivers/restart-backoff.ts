/**
 * How long to wait before starting again what has ended by itself. The first time at once, because most deaths are single
 * ones and every millisecond of waiting is downtime; after that 0.5 s, 1 s, 2 s, … up to 30 s, because a program that
 * dies at once for ever must not eat the machine. A spell of good health twice as long as the wait before it wipes the
 * slate clean; a mere start does not. So a program that dies now and then is back at once each time. One that has died more than
 * three times within a minute is crashing, however healthy it was in between: it is told so, and waits half a second each time.
 *
 * Doubling with a cap is the usual exponential back-off; the jitter keeps instances that died together from coming
 * back together.
 */
import type { Random } from '../lib/random.ts'

export const FIRST_WAIT_MS = 500
export const LONGEST_WAIT_MS = 30_000
/** The least that counts as a spell of good health. */
const FORGIVEN_AFTER_AT_LEAST_MS = 1_000
/** More ends than this within so long are no accidents any more. systemd gives up at five in 10 s; this goes on, with pauses. */
export const ENDS_AT_MOST = 3
export const LATELY_MS = 60_000
/** A wait is drawn from this much below its nominal length up to that length. */
const JITTER = 0.2

/** Milliseconds to wait after the `failures`th end in a row. */
export function restartWaitMs(failures: number, random: Random): number {
  if (failures <= 1) return 0
  const nominal = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(failures - 2, 16))
  return Math.round(nominal * (1 - JITTER * random()))
}

/** Good health for this long after the `failures`th end in a row, and they are forgotten. */
export function forgivenAfterMs(failures: number): number {
  return Math.max(FORGIVEN_AFTER_AT_LEAST_MS, 2 * restartWaitMs(failures, () => 0))
}
