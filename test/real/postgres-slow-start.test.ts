/**
 * A server that takes long to be whole again after a crash is at work and not ill.
 *
 * Exercises: drivers/postgres. Engines: postgresql.
 */
import { readFileSync } from 'node:fs'
import { afterEach, expect, test } from 'vitest'
import { systemClock } from '../../src/lib/clock.ts'
import { childrenOf } from '../../src/lib/proc.ts'
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
  const { started, replaying } = await t.until('b held up in its replay', () => heldUp(t), 60_000)
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

/** b crashes and starts, and the process that replays is held up, as much log would do it. Undefined: it had done its work before. */
async function heldUp(t: Trio): Promise<{ started: Promise<void>; replaying: number } | undefined> {
  process.kill(t.pidOf('b'), 'SIGKILL')
  await t.until('the end is seen', () => t.observe('b').state === 'stopped')
  const started = t.driver('b').start({ role: 'standby', term: 0 })
  started.catch(() => {}) // awaited by the caller that gets it
  const replaying = await t.until('its replay', () => childrenOf(t.observe('b').pid ?? 0).find(isReplay))
  process.kill(replaying, 'SIGSTOP')
  if (await isStarting(t)) return { started, replaying }
  process.kill(replaying, 'SIGCONT')
  await started
  return undefined
}

function isReplay(pid: number): boolean {
  try {
    return /^postgres: (.*: )?startup/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8'))
  } catch {
    return false // gone meanwhile
  }
}

async function isStarting(t: Trio): Promise<boolean> {
  try {
    await (await t.connect('b')).end()
    return false
  } catch (error) {
    if ((error as { code?: string }).code === '57P03') return true
    throw error
  }
}
