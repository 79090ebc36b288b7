/**
 * Is a silent peer gone, or only late? One such object per peer; it is told of each heartbeat and asked for a verdict.
 *
 * It learns how regular this peer's heartbeats are and calls a silence suspect when it is longer than they ever
 * reasonably were: the mean gap plus four deviations, kept between a floor and a ceiling. That is the idea of the phi
 * accrual detector (Hayashibara et al., 2004) with a threshold that can be read out in milliseconds.
 *
 * Local health (the idea of Lifeguard, arXiv 1707.00788): a node that was itself late by more than `LATE_MS` hears
 * every peer late. It then widens its bound by its own lateness and abstains from judging others. Suspicion only starts
 * things; the lease and the fence make them safe. That is why the bound may be short.
 */
import { assert } from '../lib/assert.ts'

export interface Suspicion {
  readonly lastHeardAt: number
  /** Exponentially weighted: how long the gaps between heartbeats are, and how much they vary. */
  readonly meanGapMs: number
  readonly deviationMs: number
}

export interface SuspicionBounds {
  readonly heartbeatMs: number
  readonly suspectFloorMs: number
  readonly suspectCeilingMs: number
}

/** An own event loop that was late by more than this makes an unreliable witness (design §6). */
export const LATE_MS = 100

const WEIGHT = 0.1
const DEVIATIONS = 4

/** A peer that was never heard is treated as if it had been heard just now: it gets the time that any other gets. */
export function firstSuspicion(bounds: SuspicionBounds, now: number): Suspicion {
  return { lastHeardAt: now, meanGapMs: bounds.heartbeatMs, deviationMs: bounds.heartbeatMs / 2 }
}

export function heard(suspicion: Suspicion, now: number): Suspicion {
  assert(now >= suspicion.lastHeardAt, 'the monotonic clock went backwards')
  const gapMs = now - suspicion.lastHeardAt
  const offMs = Math.abs(gapMs - suspicion.meanGapMs)
  return {
    lastHeardAt: now,
    meanGapMs: suspicion.meanGapMs + WEIGHT * (gapMs - suspicion.meanGapMs),
    deviationMs: suspicion.deviationMs + WEIGHT * (offMs - suspicion.deviationMs),
  }
}

/** How long this peer may be silent before it is suspect. `ownLagMs`: how late this node's own event loop was. */
export function patienceMs(suspicion: Suspicion, bounds: SuspicionBounds, ownLagMs: number): number {
  const learned = suspicion.meanGapMs + DEVIATIONS * suspicion.deviationMs
  const bounded = Math.min(bounds.suspectCeilingMs, Math.max(bounds.suspectFloorMs, learned))
  return bounded + ownLatenessMs(ownLagMs)
}

/** What a node's own lateness adds to whatever it waits to hear. */
export function ownLatenessMs(ownLagMs: number): number {
  return ownLagMs > LATE_MS ? ownLagMs : 0
}

export function isSuspect(suspicion: Suspicion, bounds: SuspicionBounds, now: number, ownLagMs: number): boolean {
  return now - suspicion.lastHeardAt > patienceMs(suspicion, bounds, ownLagMs)
}

/**
 * Condemned: more than half of those who watch it say so. `says` holds one word per observer (never the accused):
 * true suspects it, false does not, null abstains. An abstention counts as an observer: silence is not agreement.
 *
 * Nor is it acquittal: once condemned (`already`), it stays so while those who suspect it and those who abstain are more
 * than half. Observers that are late now and then would otherwise bring a dead node back to life each time, and whatever
 * was placed elsewhere with it.
 */
export function isCondemned(says: readonly (boolean | null)[], already = false): boolean {
  return says.filter((word) => word === true || (already && word === null)).length > says.length / 2
}
