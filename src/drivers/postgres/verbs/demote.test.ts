import { expect, test } from 'vitest'
import { VirtualClock } from '../../../lib/virtual-clock.ts'
import { POSTGRES_DEFAULTS } from '../options.ts'
import type { Replica } from '../replica.ts'
import { demote } from './demote.ts'

/** A primary with one session, whose transaction has been open for a while and ends at `endsAtMs`. */
function begin(endsAtMs: number) {
  const clock = new VirtualClock()
  const startedAtMs = clock.mono() - 1_000
  const session = {
    async query(text: string) {
      if (!text.includes('pg_stat_activity')) return []
      const busy = clock.mono() < endsAtMs
      return [{ pid: 7, who: 'app', program: 'job', busy, idle_inside: busy, for_ms: clock.mono() - startedAtMs }]
    },
  }
  const replica = {
    parts: { clock, options: POSTGRES_DEFAULTS },
    session,
    record: { leading: 1, pledged: 9 },
    runs: true,
    draining: false,
    reload() {},
  } as unknown as Replica
  const said: string[] = []
  const steps = {
    doorsWentAhead: () => true,
    doorsHeard: () => true,
    stopping: () => void said.push(`stopping at ${clock.mono()} ms`),
    ending: () => void said.push('ending'),
  }
  const ended = demote(replica, 2, steps, new AbortController().signal).catch((error: Error) => {
    said.push(error.message)
  })
  return { clock, said, ended }
}

test('a transaction that does not end calls the switchover off before any session had to leave', async () => {
  const { clock, said, ended } = begin(60_000)
  await clock.advance(5_000)
  await ended
  expect(said).toEqual([expect.stringContaining('1 transaction is still open after 2.0 s')])
})

test('a transaction that ends is waited for while clients work on', async () => {
  const { clock, said, ended } = begin(1_000)
  await clock.advance(900)
  expect(said).toEqual([])
  await clock.advance(5_000)
  await ended
  expect(said[0]).toMatch(/^stopping at 1\d{3} ms$/)
})
