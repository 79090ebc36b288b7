import { describe, expect, it } from 'vitest'
import { Renewals } from './renewals.ts'

describe('why a lease was not renewed', () => {
  it('names the store that does not answer', () => {
    const renewals = new Renewals(1_000)
    renewals.due(1_500)
    renewals.asked(1_500)
    expect(renewals.why(2_750)).toBe('last renewed 1.8 s ago; the store has not answered a renewal for 1.3 s')
  })

  it('names the failure of the last renewal until one succeeds', () => {
    const renewals = new Renewals(1_000)
    renewals.asked(1_500)
    renewals.failed(new Error('the disk is full'))
    renewals.due(1_750)
    expect(renewals.why(1_800)).toBe('last renewed 800 ms ago; the last renewal failed: the disk is full')
    renewals.asked(1_750)
    renewals.renewed(1_750)
    renewals.due(2_250)
    expect(renewals.why(2_000)).toBe('last renewed 250 ms ago')
  })

  it('names an agent that was late to ask', () => {
    const renewals = new Renewals(1_000)
    renewals.due(1_500)
    expect(renewals.why(1_550)).toBe('last renewed 550 ms ago')
    expect(renewals.why(2_800)).toBe('last renewed 1.8 s ago; the agent was 1.3 s late to ask for the next renewal')
  })

  it('names a fence that did not take the later deadline', () => {
    const renewals = new Renewals(1_000)
    renewals.asked(1_500)
    renewals.renewed(1_500)
    renewals.failed(new Error('no acknowledgement'))
    expect(renewals.why(2_800)).toBe(
      'last renewed 1.3 s ago, but the fence did not take the new deadline: no acknowledgement',
    )
  })
})
