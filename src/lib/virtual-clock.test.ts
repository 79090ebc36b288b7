import { describe, expect, it } from 'vitest'
import { sleep } from './clock.ts'
import { VirtualClock } from './virtual-clock.ts'

describe('VirtualClock', () => {
  it('runs timers in the order of their moment, then of their planning, and at exactly their moment', async () => {
    const clock = new VirtualClock(1_000)
    const seen: string[] = []
    const note = (name: string) => () => seen.push(`${name} ${clock.mono()}`)
    clock.after(20, note('c'))
    clock.after(10, note('a'))
    clock.after(10, note('b'))
    const cancel = clock.after(15, note('never'))
    cancel()
    await clock.advance(15)
    expect(seen).toEqual(['a 1010', 'b 1010'])
    await clock.advance(100)
    expect(seen).toEqual(['a 1010', 'b 1010', 'c 1020'])
    expect(clock.mono()).toBe(1_115)
  })

  it('lets promises go on as far as they can before the next timer, however long the chain', async () => {
    const clock = new VirtualClock()
    const seen: string[] = []
    clock.after(1, () => {
      void (async () => {
        for (let hop = 0; hop < 5_000; hop += 1) await null
        process.nextTick(() => seen.push('chain'))
      })()
    })
    clock.after(1, () => seen.push('next timer'))
    await clock.advance(2)
    expect(seen).toEqual(['chain', 'next timer'])
  })

  it('runs what timers and promises plan, also for the same moment', async () => {
    const clock = new VirtualClock()
    const seen: number[] = []
    const tick = async (): Promise<void> => {
      for (let left = 3; left > 0; left -= 1) {
        await sleep(clock, 5)
        seen.push(clock.mono())
      }
      clock.after(0, () => seen.push(-1))
    }
    void tick()
    await clock.advance(15)
    expect(seen).toEqual([5, 10, 15, -1])
  })

  it('stops early when told that it is enough, and says when the next timer is due', async () => {
    const clock = new VirtualClock()
    let count = 0
    for (const at of [10, 20, 30]) clock.after(at, () => (count += 1))
    await clock.runUntil(100, () => count === 2)
    expect([clock.mono(), clock.nextAt()]).toEqual([20, 30])
  })

  it('rejects with what a timer throws', async () => {
    const clock = new VirtualClock()
    clock.after(1, () => {
      throw new Error('broken')
    })
    await expect(clock.advance(5)).rejects.toThrow('broken')
  })
})
