import { describe, expect, it } from 'vitest'
import { type CheckResult, HEALTH_AT_START, type HealthState, healthAfterAdoption, judge } from './health.ts'

const ok: CheckResult = { ok: true, note: '' }
const miss: CheckResult = { ok: false, note: 'refused' }
const judged = (start: HealthState, ...checks: CheckResult[]) =>
  checks.reduce((state, check) => judge(state, check, 0), start)

describe('the verdict', () => {
  it('stays unknown until the first success, however many misses, and says the last one', () => {
    const state = judged(HEALTH_AT_START, miss, miss, miss, miss)
    expect(state).toMatchObject({ verdict: 'unknown', note: 'not healthy yet: refused' })
    expect(judged(state, ok)).toEqual({ verdict: 'healthy', misses: 0, note: '' })
  })

  it('turns with the second miss in a row, not with one', () => {
    expect(judged(HEALTH_AT_START, ok, miss)).toMatchObject({ verdict: 'healthy', note: 'refused' })
    expect(judged(HEALTH_AT_START, ok, miss, ok, miss).verdict).toBe('healthy')
    expect(judged(HEALTH_AT_START, ok, miss, miss)).toMatchObject({ verdict: 'unhealthy', note: 'refused' })
  })

  it('is not changed by a check that could not be asked, which the note says', () => {
    const unasked: CheckResult = { ok: false, asked: false, note: 'not run' }
    expect(judged(HEALTH_AT_START, ok, unasked, unasked, unasked)).toEqual({
      verdict: 'healthy',
      misses: 0,
      note: 'not run',
    })
    expect(judged(healthAfterAdoption(true), unasked, unasked)).toMatchObject({ verdict: 'healthy' })
    expect(judged(HEALTH_AT_START, ok, miss, miss, unasked)).toMatchObject({ verdict: 'unhealthy' })
    expect(judged(HEALTH_AT_START, ok, miss, unasked, miss)).toMatchObject({ verdict: 'unhealthy' })
    expect(judged(HEALTH_AT_START, unasked)).toMatchObject({ verdict: 'unknown', note: 'not run' })
  })

  it('turns back with one success', () => {
    expect(judged(HEALTH_AT_START, ok, miss, miss, miss, ok).verdict).toBe('healthy')
  })

  it('does not count a miss while our own event loop was late; a success counts always', () => {
    const state = judged(HEALTH_AT_START, ok, miss)
    expect(judge(state, miss, 101)).toEqual(state)
    expect(judge(state, miss, 100).verdict).toBe('unhealthy')
    expect(judge(HEALTH_AT_START, ok, 5_000).verdict).toBe('healthy')
  })

  it('before the first success says what the last miss was, however late our own event loop is', () => {
    expect(judge(HEALTH_AT_START, miss, 5_000)).toEqual({
      verdict: 'unknown',
      misses: 0,
      note: 'not healthy yet: refused',
    })
  })

  it('of an adopted one is what it was, until two checks say otherwise', () => {
    expect(judged(healthAfterAdoption(true), miss).verdict).toBe('healthy')
    expect(judged(healthAfterAdoption(true), miss, miss).verdict).toBe('unhealthy')
    expect(judged(healthAfterAdoption(false), miss, miss).verdict).toBe('unknown')
  })
})
