/** The verdict of the demo: it must be able to fail, for each of its promises. */
import { expect, test } from 'vitest'
import { fakeIo } from '../fake-io.ts'
import type { Outcome } from './demo-lines.ts'
import { Show } from './demo-lines.ts'

const calm = { requests: 90, failedPages: 0, failedOrders: 0, slowestPageMs: 12, slowestOrderMs: 340, failures: [] }
const outcome: Outcome = {
  fault: 'kill -9 the worker',
  what: 'the worker was killed',
  detectedMs: 12,
  backMs: 400,
  tally: calm,
}
const kept = { ok: true, says: '90 orders were acknowledged, 90 of them are there' }

function verdict(outcomes: Outcome[], checks = [kept]): { ok: boolean; text: string } {
  const io = fakeIo()
  const ok = new Show((text) => io.out(text), io.paint).receipts(outcomes, checks)
  return { ok, text: io.text() }
}

test('it is well when nothing failed, everything came back and every check held', () => {
  const { ok, text } = verdict([outcome])
  expect(ok).toBe(true)
  expect(text).toContain('90 of them are there')
  expect(text).toMatch(/kill -9 the worker +│ 12 ms +│ 400 ms +│ 0 of 90 +│ 12 ms +│ 340 ms/)
})

test.each([
  ['a page failed at the door of a living node', [{ ...outcome, tally: { ...calm, failedPages: 1 } }], [kept]],
  ['a fault was not got over', [{ ...outcome, backMs: null }], [kept]],
  ['an acknowledged order is missing', [outcome], [{ ok: false, says: '90 … 89 of them are there' }, kept]],
])('it is not well when %s', (_, outcomes, checks) => {
  expect(verdict(outcomes, checks).ok).toBe(false)
})

test('an order that was not acknowledged is shown and no broken promise: its customer was told that he does not know', () => {
  const { ok, text } = verdict([{ ...outcome, tally: { ...calm, failedOrders: 2 } }])
  expect(ok).toBe(true)
  expect(text).toContain('2 of 90')
})
