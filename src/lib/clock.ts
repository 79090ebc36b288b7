/**
 * Time comes in as an argument. Two clocks, never mixed: `mono` decides (it cannot jump), `wall` is for output.
 *
 * On Linux `mono` is CLOCK_MONOTONIC: one reading for every process of this machine since its boot. That is what lets
 * an agent pass an absolute deadline to its fence process, and the embedded store expire a lease of another process.
 */
export interface Clock {
  /** Milliseconds on the monotonic clock, fractions included. Comparable between processes of one machine and boot. */
  mono(): number
  /** Milliseconds since 1970, for output and receipts only. */
  wall(): number
  /** Runs `fn` once, `delayMs` from now or a little later. */
  after(delayMs: number, fn: () => void): Cancel
}

export type Cancel = () => void

export const systemClock: Clock = {
  mono: () => Number(process.hrtime.bigint()) / 1e6,
  wall: () => Date.now(),
  after(delayMs, fn) {
    const timer = setTimeout(fn, Math.max(0, delayMs))
    return () => clearTimeout(timer)
  },
}

/** Resolves `delayMs` from now on the given clock. */
export function sleep(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => clock.after(delayMs, resolve))
}
