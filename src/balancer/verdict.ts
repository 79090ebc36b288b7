/**
 * What this balancer believes of one target.
 *
 * The idea: a process that was stopped, or that spins for ever, still completes TCP handshakes (the kernel does), still
 * keeps its connections open, and answers nothing. So only an answer is proof of life, and only a question asked over a
 * fresh connection is a fair one. One unanswered question makes a target `suspect`: it gets no new work while another
 * target is healthy. A second one, asked after the first had failed, makes it `dead`: its sessions may be moved.
 *
 * What keeps this from harming the living:
 * - A miss does not count when the target answered any client since the question was asked: it is busy, not hung.
 * - A miss does not count when our own event loop stood still meanwhile: then we are the ones who did not listen, or
 *   the whole machine stood still. But only twice in a row: on a machine that is always short of time, instances hang
 *   as well.
 * - An instance that answers its health check with an error is alive. It is suspect for as long as it says so and never
 *   dead: nothing that it is working on is closed.
 * - The patience grows with the target's own pace: eight times its smoothed answer time, within bounds.
 *
 * Refusals are another matter: a refused connection is the kernel's word that no program listens. Two in a row are
 * conclusive, and they take no waiting at all.
 *
 * The trap: verdicts are local. A target may be dead for this balancer and healthy for the next one; that is why a
 * verdict moves requests but never decides which instance is primary.
 *
 * No clock and no socket in here: the same evidence always leads to the same verdict.
 */
import { assertNever } from '../lib/assert.ts'

export type Verdict = 'healthy' | 'suspect' | 'dead'

/** The reason of a verdict other than healthy. */
export type Cause = 'none' | 'silent' | 'refused' | 'unhealthy'

export interface Belief {
  readonly verdict: Verdict
  readonly cause: Cause
  /** A sentence; empty while healthy. */
  readonly why: string
  /** Monotonic time at which verdict or cause last changed. */
  readonly sinceMs: number
  /** How long it usually takes to answer a probe, smoothed; undefined before the first answer. */
  readonly paceMs: number | undefined
  /** Good answers in a row since the verdict was `dead`. */
  readonly goods: number
  /** Refused connections in a row. */
  readonly refusals: number
  /** Misses in a row that did not count because our own loop had stood still. */
  readonly excused: number
}

const EXCUSES_MAX = 2

export type Evidence =
  /** A probe was answered with success. */
  | { readonly kind: 'answered'; readonly tookMs: number }
  /** A probe was answered without success. `said`: its answer, for a sentence. */
  | { readonly kind: 'unhealthy'; readonly said: string }
  /** A probe was not answered in time. `lifeMs`: when the target last answered any client or probe. */
  | {
      readonly kind: 'missed'
      readonly startedMs: number
      readonly lifeMs: number
      readonly ownLoopStalled: boolean
    }
  /** A connection, of a probe or of a request, was refused. */
  | { readonly kind: 'refused' }
  /** A connection broke before it was answered. A hint, no more: asking is cheap. */
  | { readonly kind: 'reset' }
  /** A client's request was answered. */
  | { readonly kind: 'served'; readonly sentMs: number }

export interface Weighed {
  readonly belief: Belief
  /** The next question should be asked at once rather than at its turn. */
  readonly askAgain: boolean
}

/** Of a target nothing is known yet: it is healthy until something says otherwise. */
export function firstBelief(nowMs: number): Belief {
  return {
    verdict: 'healthy',
    cause: 'none',
    why: '',
    sinceMs: nowMs,
    paceMs: undefined,
    goods: 0,
    refusals: 0,
    excused: 0,
  }
}

/** The upper bound of a probe's patience, unless the route itself asks for more. */
export const LONGEST_PATIENCE_MS = 2_000

/** How long to wait for the answer to a probe. `leastMs` is the route's `probe.timeoutMs`. */
export function patienceMs(belief: Belief, leastMs: number): number {
  return Math.max(leastMs, Math.min(8 * (belief.paceMs ?? 0), LONGEST_PATIENCE_MS))
}

export function weigh(belief: Belief, evidence: Evidence, nowMs: number): Weighed {
  switch (evidence.kind) {
    case 'answered':
      return answered(belief, evidence.tookMs, nowMs)
    case 'unhealthy':
      return unhealthy(belief, evidence.said, nowMs)
    case 'missed':
      return missed(belief, evidence, nowMs)
    case 'refused':
      return refused(belief, nowMs)
    case 'reset':
      return { belief, askAgain: true }
    case 'served':
      return served(belief, evidence.sentMs, nowMs)
    default:
      return assertNever(evidence)
  }
}

/** Two good answers bring back a dead target, one brings back a suspect. */
function answered(belief: Belief, tookMs: number, nowMs: number): Weighed {
  // The smoothing of TCP's round trip time (RFC 6298): one eighth of each new sample.
  const paceMs = belief.paceMs === undefined ? tookMs : belief.paceMs + (tookMs - belief.paceMs) / 8
  const goods = belief.goods + 1
  if (belief.verdict === 'dead' && goods < 2) {
    return { belief: { ...belief, paceMs, goods, refusals: 0, excused: 0 }, askAgain: true }
  }
  const known = { ...belief, paceMs, goods, refusals: 0, excused: 0 }
  return { belief: change(known, 'healthy', 'none', '', nowMs), askAgain: false }
}

function unhealthy(belief: Belief, said: string, nowMs: number): Weighed {
  const known = { ...belief, goods: 0, refusals: 0, excused: 0 }
  return {
    belief: change(known, 'suspect', 'unhealthy', `fails its health check: ${said}`, nowMs),
    askAgain: false,
  }
}

function missed(belief: Belief, miss: Evidence & { kind: 'missed' }, nowMs: number): Weighed {
  if (miss.ownLoopStalled && belief.excused < EXCUSES_MAX) {
    return { belief: { ...belief, excused: belief.excused + 1 }, askAgain: true }
  }
  if (miss.lifeMs > miss.startedMs) return { belief, askAgain: false }
  const silentMs = Math.round(nowMs - miss.startedMs)
  const known = { ...belief, goods: 0 }
  if (belief.verdict === 'dead') return { belief: known, askAgain: false }
  if (belief.verdict === 'suspect' && belief.cause === 'silent') {
    // A question that was already on its way when the first one failed is the same silence seen twice.
    if (miss.startedMs < belief.sinceMs) return { belief: known, askAgain: false }
    return { belief: change(known, 'dead', 'silent', 'did not answer two probes in a row', nowMs), askAgain: false }
  }
  return {
    belief: change(known, 'suspect', 'silent', `did not answer a probe in ${silentMs} ms`, nowMs),
    askAgain: true,
  }
}

function refused(belief: Belief, nowMs: number): Weighed {
  const refusals = belief.refusals + 1
  const known = { ...belief, goods: 0, refusals }
  if (refusals >= 2 || belief.verdict === 'dead') {
    return { belief: change(known, 'dead', 'refused', 'refuses connections', nowMs), askAgain: false }
  }
  return { belief: change(known, 'suspect', 'refused', 'refused a connection', nowMs), askAgain: true }
}

/** A target that answers a client after it was given up for silent is not dead; a probe must confirm that it is healthy. */
function served(belief: Belief, sentMs: number, nowMs: number): Weighed {
  if (belief.verdict !== 'dead' || belief.cause !== 'silent') return { belief, askAgain: false }
  const why = `answers again a request that waited ${Math.round(nowMs - sentMs)} ms`
  return { belief: change(belief, 'suspect', 'silent', why, nowMs), askAgain: true }
}

function change(belief: Belief, verdict: Verdict, cause: Cause, why: string, nowMs: number): Belief {
  const same = belief.verdict === verdict && belief.cause === cause
  return { ...belief, verdict, cause, why, sinceMs: same ? belief.sinceMs : nowMs }
}
