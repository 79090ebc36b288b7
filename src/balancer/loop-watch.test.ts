import { expect, test } from 'vitest'
import { LoopWatch } from './loop-watch.ts'

test('a late tick tells of a stall, also before it has come', () => {
  const watch = new LoopWatch(0, 50)
  watch.tick(50, 50)
  watch.tick(110, 50)
  expect(watch.stalledSince(0, 120)).toBe(false)
  expect(watch.stalledSince(0, 300)).toBe(true)
  watch.tick(300, 50)
  expect(watch.stalledSince(250, 310)).toBe(true)
  watch.tick(350, 50)
  expect(watch.stalledSince(310, 360)).toBe(false)
})
