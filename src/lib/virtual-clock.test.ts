import { describe, expect, it } from 'vitest'
import { sleep } from './clock.ts'
import { VirtualClock } from './virtual-clock.ts'

describe('the virtual clock', () => {
  it('runs what is due in order of its moment, then of its making, at its moment', async () => {
    const clock = new VirtualClock(0)
    const seen: string[] = []
    clock.after(20, () => seen.push(`b@${clock.mono()}`))
    clock.after(10, () => seen.push(`a@${clock.mono()}`))
    clock.after(20, () => seen.push(`c@${clock.mono()}`))
    await clock.advance(19)
    expect(seen).toEqual(['a@10'])
    await clock.advance(1)
    expect(seen).toEqual(['a@10', 'b@20', 'c@20'])
    expect(clock.nextAt()).toBeUndefined()
  })

  it('lets code that awaits go on in between, and runs what that makes due', async () => {
    const clock = new VirtualClock(0)
    let turns = 0
    const loop = async () => {
      for (; turns < 5; turns += 1) await sleep(clock, 10)
    }
    void loop()
    await clock.advance(50)
    expect(turns).toBe(5)
  })

  it('forgets what was cancelled', async () => {
    const clock = new VirtualClock()
    clock.after(1, () => expect.fail('it was cancelled'))()
    await clock.advance(10)
  })

  it('moves both readings together', async () => {
    const clock = new VirtualClock(5, 1_000)
    await clock.advance(7)
    expect([clock.mono(), clock.wall()]).toEqual([12, 1_007])
  })
})
