import { expect, test } from 'vitest'
import { type Held, Hold, HoldSpace } from './hold.ts'

function waiter(log: string[], name: string, again?: Hold): Held {
  const held: Held = {
    go() {
      log.push(`${name} goes`)
      again?.add(held, 1_000)
    },
    giveUp: () => void log.push(`${name} gives up`),
  }
  return held
}

test('each gives up at its own time', () => {
  const log: string[] = []
  const hold = new Hold(new HoldSpace())
  hold.add(waiter(log, 'a'), 100)
  hold.add(waiter(log, 'b'), 200)
  hold.tick(99)
  expect(log).toEqual([])
  hold.tick(100)
  expect(log).toEqual(['a gives up'])
  hold.tick(500)
  expect(log).toEqual(['a gives up', 'b gives up'])
  expect(hold.size).toBe(0)
})

test('the space is bounded for all routes together and given back', () => {
  const space = new HoldSpace(2)
  const [one, two] = [new Hold(space), new Hold(space)]
  const a = waiter([], 'a')
  expect(one.add(a, 1)).toBe(true)
  expect(two.add(waiter([], 'b'), 1)).toBe(true)
  expect(two.add(waiter([], 'c'), 1)).toBe(false)
  one.remove(a)
  one.remove(a)
  expect(space.held).toBe(1)
  expect(two.add(waiter([], 'd'), 1)).toBe(true)
})

test('released in growing batches, oldest first', () => {
  const log: string[] = []
  const hold = new Hold(new HoldSpace())
  for (let index = 0; index < 100; index++) hold.add(waiter(log, String(index)), 1_000)
  hold.release()
  expect(log).toHaveLength(16)
  expect(log[0]).toBe('0 goes')
  hold.tick(1)
  expect(log).toHaveLength(48)
  hold.tick(2)
  expect(log).toHaveLength(100)
})

test('when those that went come back, the rest waits for the next sign instead of trying in a loop', () => {
  const log: string[] = []
  const hold = new Hold(new HoldSpace())
  for (let index = 0; index < 20; index++) hold.add(waiter(log, String(index), hold), 1_000)
  hold.release()
  hold.tick(1)
  hold.tick(2)
  expect(log).toHaveLength(16)
  expect(hold.size).toBe(20)
})
