import { describe, expect, it } from 'vitest'
import { FenceBook } from './fence-book.ts'

const armed = (pid: number, killAtMono: number) => ({ service: 'svc', pid, startTime: 7, killAtMono })

describe('the book of a fence', () => {
  it('hands out what is due once, in order of its deadline', () => {
    const book = new FenceBook()
    book.arm(armed(2, 200))
    book.arm(armed(3, 100))
    book.arm(armed(4, 300))
    expect(book.takeDue(99)).toEqual([])
    expect(book.takeDue(250).map(({ pid }) => pid)).toEqual([3, 2])
    expect(book.takeDue(250)).toEqual([])
    expect(book.list()).toHaveLength(1)
  })

  it('is due at the deadline itself', () => {
    const book = new FenceBook()
    book.arm(armed(2, 100))
    expect(book.takeDue(100)).toHaveLength(1)
  })

  it('takes the last word, later or earlier', () => {
    const book = new FenceBook()
    book.arm(armed(2, 100))
    book.arm(armed(2, 300))
    expect(book.takeDue(200)).toEqual([])
    book.arm(armed(2, 150))
    expect(book.takeDue(200)).toHaveLength(1)
  })

  it('tells a process from another with the same pid', () => {
    const book = new FenceBook()
    book.arm(armed(2, 100))
    book.disarm({ pid: 2, startTime: 8 })
    expect(book.list()).toHaveLength(1)
    book.disarm({ pid: 2, startTime: 7 })
    expect(book.list()).toEqual([])
  })

  it('looks often near a deadline, never sleeps past one, and sleeps for ever when nothing is armed', () => {
    const book = new FenceBook()
    expect(book.lookInMs(0)).toBeUndefined()
    book.arm(armed(2, 10_000))
    for (let now = 0, looks = 0; now < 10_000; looks += 1) {
      const inMs = book.lookInMs(now) ?? Number.POSITIVE_INFINITY
      if (10_000 - now > 40) expect(now + inMs).toBeLessThan(10_000)
      else expect(inMs).toBeLessThanOrEqual(20)
      expect(looks).toBeLessThan(40)
      now += Math.max(1, inMs)
    }
    expect(book.lookInMs(10_001)).toBe(0)
  })
})
