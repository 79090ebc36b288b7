import { expect, test } from 'vitest'
import { LoopWatch } from './loop-watch.ts'

test('a late tick tells of a stall, also before it has come', () => {
  const watch = new LoopWatch(50, 0)
  watch.tick(50)
  watch.tick(110)
  expect(watch.stalledSince(0, 120)).toBe(false)
  expect(watch.stalledSince(0, 300)).toBe(true)
  watch.tick(300)
  expect(watch.stalledSince(250, 310)).toBe(true)
  watch.tick(350)
  expect(watch.stalledSince(310, 360)).toBe(false)
})
