import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../lib/random.ts'
import { VirtualClock } from '../lib/virtual-clock.ts'
import { InstanceHistory } from './process/instance-history.ts'
import { forgivenAfterMs, LONGEST_WAIT_MS, restartWaitMs } from './restart-backoff.ts'

describe('back-off', () => {
  it('starts again at once after the first end, then waits twice as long each time, up to the longest', () => {
    const waits = [0, 1, 2, 3, 4, 5, 8, 9, 1_000].map((failures) => restartWaitMs(failures, () => 0))
    expect(waits).toEqual([0, 0, 500, 1_000, 2_000, 4_000, 30_000, 30_000, 30_000])
  })

  it('jitter shortens by at most a fifth and never lengthens', () => {
    const random = seededRandom(1)
    for (let n = 0; n < 1_000; n += 1) {
      const wait = restartWaitMs(50, random)
      expect(wait).toBeLessThanOrEqual(LONGEST_WAIT_MS)
      expect(wait).toBeGreaterThanOrEqual(0.8 * LONGEST_WAIT_MS)
    }
  })

  it('a program that dies every 2.5 s is crashing, although it is healthy in between', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'understudy-backoff-'))
    const clock = new VirtualClock()
    const history = new InstanceHistory(join(folder, 'x.json'), clock, () => 0, {})
    const diesAfter = async (ms: number) => {
      await clock.advance(ms)
      if (ms >= forgivenAfterMs(history.failures)) history.forgive() // it was healthy for that long
      history.close('ended', true)
    }
    try {
      for (let n = 0; n < 4; n += 1) await diesAfter(2_500)
      expect([history.failures, history.report().retryInMs]).toEqual([1, 0]) // a few are accidents: back at once
      for (let n = 0; n < 3; n += 1) await diesAfter(2_500)
      expect([history.failures, history.report().retryInMs]).toEqual([2, 500])
      await diesAfter(70_000)
      expect([history.failures, history.report().retryInMs]).toEqual([1, 0])
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
