/**
 * Time that passes only when told to. Everything that is due runs in order of its moment, then of its making, so that one
 * program always gives one history. Between two timers, promises get their turn: code under test may `await`.
 */
import { assert } from './assert.ts'
import type { Clock } from './clock.ts'

export interface VirtualClock extends Clock {
  /** Lets `ms` milliseconds pass: runs what falls due, and what that makes fall due. */
  advance(ms: number): Promise<void>
  /** When the next timer falls due, on `mono`; undefined when nothing is waiting. */
  nextAt(): number | undefined
}

interface Timer {
  readonly at: number
  readonly order: number
  readonly fn: () => void
}

/** A clock at `startMs`; its wall clock reads `wallStartMs` at the same moment. */
export function virtualClock(startMs = 1_000, wallStartMs = 1_700_000_000_000): VirtualClock {
  let now = startMs
  let made = 0
  const timers = new Set<Timer>()

  const next = (): Timer | undefined => {
    let first: Timer | undefined
    for (const timer of timers) {
      if (!first || timer.at < first.at || (timer.at === first.at && timer.order < first.order)) first = timer
    }
    return first
  }

  return {
    mono: () => now,
    wall: () => Math.floor(wallStartMs + now - startMs),
    after(delayMs, fn) {
      const timer = { at: now + Math.max(0, delayMs), order: made++, fn }
      timers.add(timer)
      return () => void timers.delete(timer)
    },
    nextAt: () => next()?.at,
    async advance(ms) {
      assert(ms >= 0, `time does not go backwards: ${ms}`)
      const end = now + ms
      await promisesTurn()
      for (let timer = next(); timer && timer.at <= end; timer = next()) {
        timers.delete(timer)
        now = timer.at
        timer.fn()
        await promisesTurn()
      }
      now = end
    },
  }
}

/** Returns after every promise that can go on without time passing has gone on. */
function promisesTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
