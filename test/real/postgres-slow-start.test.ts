/** A server that takes long to be whole again after a crash is at work and not ill. */
import { execFileSync } from 'node:child_process'
import { afterEach, expect, test } from 'vitest'
import { systemClock } from '../../src/lib/clock.ts'
import { Trio } from './postgres-trio.ts'

let trio: Trio | undefined

afterEach(async () => {
  await trio?.end()
  trio = undefined
})

test('a standby that replays for long after a crash is not called unhealthy: it would be ended, and begin again', async () => {
  trio = new Trio()
  await trio.begin()
  const t = trio
  process.kill(t.observe('b').pid, 'SIGKILL')
  await t.until('the end is seen', () => t.observe('b').state === 'stopped')
  const started = t.driver('b').start({ role: 'standby', term: 0 })
  started.catch(() => {}) // awaited below
  // The process that replays is held up, as much log would hold it up.
  let replaying = 0
  await t.until('its replay', () => {
    replaying = startupOf(t.observe('b').pid)
    return replaying > 0
  })
  process.kill(replaying, 'SIGSTOP')
  try {
    const seen = new Set<string>()
    const from = systemClock.mono()
    await t.until('two seconds to pass: probes every 300 ms', () => {
      seen.add(t.observe('b').health)
      return systemClock.mono() - from > 2_000
    })
    expect([...seen]).toEqual(['unknown'])
    expect(t.observe('b').note).toMatch(/starting up|not yet accepting/)
  } finally {
    process.kill(replaying, 'SIGCONT')
  }
  await started
  await t.until('it is well', () => t.observe('b').health === 'healthy')
}, 120_000)

function startupOf(postmaster: number): number {
  if (postmaster === 0) return 0
  try {
    const lines = execFileSync('ps', ['-o', 'pid=,args=', '--ppid', String(postmaster)], { encoding: 'utf8' }).split(
      '\n',
    )
    return Number(
      lines
        .find((line) => / startup/.test(line))
        ?.trim()
        .split(' ')[0] ?? 0,
    )
  } catch {
    return 0 // it has no children yet
  }
}
