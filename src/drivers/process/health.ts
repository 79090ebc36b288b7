/**
 * From single checks to a verdict. No clock, no network.
 *
 *     unknown ──ok──▶ healthy ──2 misses in a row──▶ unhealthy ──ok──▶ healthy
 *
 * Before the first success a miss means nothing: a program that is still starting refuses connections, and how long it
 * may take is for the core to judge (`startWithinMs`). The note says what the last miss was, so that an instance that
 * never becomes healthy is explained. Two misses and not one, because a single one is as often ours as its own.
 */
export type Verdict = 'unknown' | 'healthy' | 'unhealthy'

export interface CheckResult {
  readonly ok: boolean
  /** False: we could not even ask. It says nothing of the instance, which must not be ended for it. */
  readonly asked?: false
  /** Why not; empty when ok. */
  readonly note: string
}

export interface HealthState {
  readonly verdict: Verdict
  /** Misses in a row. */
  readonly misses: number
  readonly note: string
}

const MISSES_UNTIL_UNHEALTHY = 2
/** A miss counts only when our own event loop was not later than this: else we may have missed the answer, not it. */
const TRUSTED_LAG_MS = 100

export const HEALTH_AT_START: HealthState = { verdict: 'unknown', misses: 0, note: '' }

/**
 * The verdict on an adopted instance. One that was healthy when an earlier agent watched it keeps that verdict until
 * two checks say otherwise, so that the restart of an agent takes nothing out of service.
 */
export function healthAfterAdoption(wasHealthy: boolean): HealthState {
  return wasHealthy ? { verdict: 'healthy', misses: 0, note: '' } : HEALTH_AT_START
}

export function judge(state: HealthState, check: CheckResult, loopLagMs: number): HealthState {
  if (check.ok) return { verdict: 'healthy', misses: 0, note: '' }
  if (check.asked === false) return { ...state, note: check.note }
  // Does not count yet, whichever side was late; but it explains an instance that never becomes healthy.
  if (state.verdict === 'unknown') return { verdict: 'unknown', misses: 0, note: `not healthy yet: ${check.note}` }
  if (loopLagMs > TRUSTED_LAG_MS) return state
  const misses = state.misses + 1
  const unhealthy = state.verdict === 'unhealthy' || misses >= MISSES_UNTIL_UNHEALTHY
  return { verdict: unhealthy ? 'unhealthy' : 'healthy', misses, note: check.note }
}
