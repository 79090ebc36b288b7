import { describe, expect, it } from 'vitest'
import { seededRandom } from '../lib/random.ts'
import { LONGEST_WAIT_MS, restartWaitMs } from './restart-backoff.ts'

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
})
