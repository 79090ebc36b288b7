import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { firstSuspicion, heard, isCondemned, isSuspect, patienceMs } from './suspicion.ts'

const LAN = { heartbeatMs: 100, suspectFloorMs: 300, suspectCeilingMs: 600 }

function afterGaps(gapsMs: readonly number[]) {
  let now = 0
  let suspicion = firstSuspicion(LAN, now)
  for (const gapMs of gapsMs) {
    now += gapMs
    suspicion = heard(suspicion, now)
  }
  return { suspicion, now }
}

describe('suspicion', () => {
  it('suspects a regular peer soon after the floor, not before', () => {
    const { suspicion, now } = afterGaps(Array(50).fill(100))
    expect(isSuspect(suspicion, LAN, now + 300, 0)).toBe(false)
    expect(isSuspect(suspicion, LAN, now + 301, 0)).toBe(true)
  })

  it('is more patient with an irregular peer, up to the ceiling', () => {
    const { suspicion } = afterGaps(Array.from({ length: 50 }, (_, index) => (index % 2 ? 20 : 280)))
    expect(patienceMs(suspicion, LAN, 0)).toBeGreaterThan(400)
    expect(patienceMs(afterGaps(Array(50).fill(2_000)).suspicion, LAN, 0)).toBe(600)
  })

  it('stays between floor and ceiling whatever the gaps were', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(5_000), { maxLength: 60 }), (gaps) => {
        const patience = patienceMs(afterGaps(gaps).suspicion, LAN, 0)
        expect(patience).toBeGreaterThanOrEqual(300)
        expect(patience).toBeLessThanOrEqual(600)
      }),
    )
  })

  it('waits longer when this node itself was late', () => {
    const { suspicion, now } = afterGaps(Array(50).fill(100))
    expect(isSuspect(suspicion, LAN, now + 500, 400)).toBe(false)
    expect(isSuspect(suspicion, LAN, now + 701, 400)).toBe(true)
  })
})

describe('isCondemned', () => {
  it('needs more than half of the observers; who abstains does not agree', () => {
    expect(isCondemned([true])).toBe(true)
    expect(isCondemned([true, false])).toBe(false)
    expect(isCondemned([true, true])).toBe(true)
    expect(isCondemned([true, null])).toBe(false)
    expect(isCondemned([true, true, false])).toBe(true)
    expect(isCondemned([true, true, null, null])).toBe(false)
    expect(isCondemned([])).toBe(false)
  })

  it('is not taken back by those who abstain, but by those who hear it', () => {
    expect(isCondemned([true, null], true)).toBe(true)
    expect(isCondemned([null, null], true)).toBe(true)
    expect(isCondemned([true, false], true)).toBe(false)
    expect(isCondemned([null, false, false], true)).toBe(false)
    expect(isCondemned([], true)).toBe(false)
  })
})
