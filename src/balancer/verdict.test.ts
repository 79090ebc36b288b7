import { describe, expect, test } from 'vitest'
import { type Belief, type Evidence, firstBelief, patienceMs, weigh } from './verdict.ts'

/** Weighs evidence in order, one millisecond apart; returns the last belief. */
function believed(evidence: readonly Evidence[], belief: Belief = firstBelief(0), nowMs = 1_000): Belief {
  return evidence.reduce((known, one, index) => weigh(known, one, nowMs + index).belief, belief)
}

const answered: Evidence = { kind: 'answered', tookMs: 5 }
const refused: Evidence = { kind: 'refused' }
function missed(startedMs: number, more: Partial<Evidence & { kind: 'missed' }> = {}): Evidence {
  return { kind: 'missed', startedMs, lifeMs: 0, ownLoopStalled: false, ...more }
}

describe('silence', () => {
  test('one miss makes a target suspect and asks again at once', () => {
    const { belief, askAgain } = weigh(firstBelief(0), missed(750), 1_000)
    expect(belief).toMatchObject({ verdict: 'suspect', cause: 'silent', why: 'did not answer a probe in 250 ms' })
    expect(askAgain).toBe(true)
  })

  test('a second one, asked after the first had failed, makes it dead', () => {
    const suspect = believed([missed(750)])
    expect(weigh(suspect, missed(1_000), 1_250).belief).toMatchObject({ verdict: 'dead', cause: 'silent' })
  })

  test('a question that was under way when the first one failed does not count twice', () => {
    const suspect = believed([missed(750)])
    expect(weigh(suspect, missed(850), 1_100).belief.verdict).toBe('suspect')
  })

  test('a miss counts for nothing when the target answered a client meanwhile', () => {
    expect(believed([missed(750, { lifeMs: 800 })]).verdict).toBe('healthy')
  })

  test('nor when our own loop stood still: then the question is asked again', () => {
    const { belief, askAgain } = weigh(firstBelief(0), missed(750, { ownLoopStalled: true }), 1_000)
    expect(belief.verdict).toBe('healthy')
    expect(askAgain).toBe(true)
  })

  test('but not for ever: the third such miss in a row counts', () => {
    const stalled = missed(750, { ownLoopStalled: true })
    expect(believed([stalled, stalled]).verdict).toBe('healthy')
    expect(believed([stalled, answered, stalled, stalled]).verdict).toBe('healthy')
    expect(believed([stalled, stalled, stalled]).verdict).toBe('suspect')
  })
})

describe('refusal', () => {
  test('one is a suspicion, two in a row are conclusive', () => {
    expect(weigh(firstBelief(0), refused, 1)).toMatchObject({ belief: { verdict: 'suspect' }, askAgain: true })
    expect(believed([refused, refused])).toMatchObject({ verdict: 'dead', cause: 'refused' })
    expect(believed([refused, answered, refused])).toMatchObject({ verdict: 'suspect' })
  })

  test('who was dead for silence and then refuses is gone', () => {
    expect(believed([missed(750), missed(1_001), refused])).toMatchObject({ verdict: 'dead', cause: 'refused' })
  })
})

describe('coming back', () => {
  test('one good answer for a suspect, two for a dead one, the second asked for at once', () => {
    expect(believed([missed(750), answered]).verdict).toBe('healthy')
    const dead = believed([refused, refused])
    const once = weigh(dead, answered, 2_000)
    expect(once).toMatchObject({ belief: { verdict: 'dead' }, askAgain: true })
    expect(weigh(once.belief, answered, 2_001).belief).toMatchObject({ verdict: 'healthy', why: '' })
  })

  test('the two must be in a row', () => {
    expect(believed([refused, refused, answered, refused, answered]).verdict).toBe('dead')
  })

  test('an answer to a client lifts a silent one to suspect, but not one that refuses', () => {
    const silent = believed([missed(750), missed(1_001)])
    const { belief, askAgain } = weigh(silent, { kind: 'served', sentMs: 900 }, 2_000)
    expect(belief).toMatchObject({ verdict: 'suspect' })
    expect(askAgain).toBe(true)
    expect(believed([refused, refused, { kind: 'served', sentMs: 900 }]).verdict).toBe('dead')
  })
})

describe('reporting itself unhealthy', () => {
  const unhealthy: Evidence = { kind: 'unhealthy', said: 'GET http://127.0.0.1:1/ answered 503, expected 200-399' }
  test('is a suspicion for as long as it says so, and never death', () => {
    expect(believed([unhealthy, unhealthy, unhealthy, unhealthy])).toMatchObject({
      verdict: 'suspect',
      cause: 'unhealthy',
    })
    expect(believed([unhealthy, answered]).verdict).toBe('healthy')
    expect(believed([refused, refused, unhealthy])).toMatchObject({ verdict: 'suspect', cause: 'unhealthy' })
  })

  test('and then falling silent takes two misses like any other target', () => {
    expect(believed([unhealthy, missed(999)])).toMatchObject({ verdict: 'suspect', cause: 'silent' })
    expect(believed([unhealthy, missed(999), missed(1_001)])).toMatchObject({ verdict: 'dead' })
  })
})

test('patience grows with the pace of the target, within bounds', () => {
  const pace = (paceMs: number | undefined): Belief => ({ ...firstBelief(0), paceMs })
  expect(patienceMs(pace(undefined), 250)).toBe(250)
  expect(patienceMs(pace(10), 250)).toBe(250)
  expect(patienceMs(pace(100), 250)).toBe(800)
  expect(patienceMs(pace(1_000), 250)).toBe(2_000)
  expect(patienceMs(pace(1_000), 3_000)).toBe(3_000)
})
