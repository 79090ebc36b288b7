import { expect, onTestFinished, test } from 'vitest'
import { onFault } from '../../../lib/background.ts'
import { VirtualClock } from '../../../lib/virtual-clock.ts'
import type { Replica } from '../replica.ts'
import { Watch } from './server-watch.ts'

test('a data folder that vanishes under the watch is a fault that is told, and the watch goes on', async () => {
  const clock = new VirtualClock()
  const faults: string[] = []
  onTestFinished(onFault((what, error) => faults.push(`${what}: ${error.message}`)))
  let checks = 0
  let frozen = 0
  const folder = {
    logPath: '/nonexistent/log',
    loss: () => null,
    openTheWay() {
      checks += 1
      throw new Error('ENOENT: no such file or directory, stat')
    },
  }
  const options = { settings: {}, timing: { watchEveryMs: 200 }, limits: { logMb: 1, logFiles: 1 } }
  const postmaster = {
    identity: { pid: 1, startTime: 1 },
    get isFrozen() {
      frozen += 1
      return false
    },
  }
  const parts = { clock, folder, options, tell() {} }
  const replica = { runs: true, entry: 'closed', record: { following: null }, postmaster, parts } as unknown as Replica
  const watch = new Watch({
    ...{ replica, probeEveryMs: 100, probeTimeoutMs: 100, loopLagMs: () => 0 },
    onSight() {},
    isIdle: () => true,
    changed() {},
    restart: async () => {},
  })
  watch.start()
  await clock.advance(50_000)
  watch.stop()
  expect(faults).toEqual(['checking the folders of a database: ENOENT: no such file or directory, stat'])
  expect(checks).toBeGreaterThan(5)
  expect(frozen).toBeGreaterThan(1_000)
})
