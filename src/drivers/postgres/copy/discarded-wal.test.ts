import { expect, test } from 'vitest'
import { VirtualClock } from '../../../lib/virtual-clock.ts'
import { KeepBudget } from './discarded-wal.ts'

test('what a divergence may cost ends with its bytes or its time, whichever comes first, and that is known', async () => {
  const clock = new VirtualClock()
  const budget = new KeepBudget(clock, 1_000, 100)
  expect(budget.take(60)).toBe(true)
  expect(budget.leftBytes).toBe(40)
  expect(budget.isSpent).toBe(false)
  expect(budget.take(41), 'too large').toBe(false)
  expect(budget.isSpent).toBe(true)
  expect(budget.take(40), 'what fits is still kept').toBe(true)
  await clock.advance(999)
  expect(budget.leftMs).toBe(1)
  await clock.advance(1)
  expect(budget.take(0)).toBe(false)
  expect(budget.leftMs, 'a time-out of 0 would be none').toBe(1)
})
