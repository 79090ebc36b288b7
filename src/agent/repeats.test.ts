import { describe, expect, it } from 'vitest'
import { VirtualClock } from '../lib/virtual-clock.ts'
import { Journal } from './journal.ts'
import type { Entry } from './repeats.ts'

const fault: Entry = {
  service: 'db',
  rule: 'two-writers',
  kind: 'noticed',
  why: 'a still runs as primary of db in term 1',
}

async function journalOf(tellAt: (journal: Journal, ms: number) => void, everyMs: number, forMs: number) {
  const clock = new VirtualClock()
  const published: { at: number; why: string; repeated: number }[] = []
  const journal = new Journal('a', clock, ({ why, repeated = 1 }) => {
    published.push({ at: clock.mono() - startedAt, why, repeated })
  })
  const startedAt = clock.mono()
  for (let ms = 0; ms < forMs; ms += everyMs) {
    tellAt(journal, ms)
    journal.flush()
    await clock.runUntil(clock.mono() + everyMs)
  }
  return { journal, published }
}

describe('a fault that never ends', () => {
  it('is told three times, and then how often it was repeated, at growing intervals', async () => {
    const { published } = await journalOf((journal) => journal.tell(fault), 250, 300_000)
    expect(published.map(({ at }) => Math.round(at / 1_000))).toEqual([0, 0, 1, 10, 30, 70, 150])
    expect(published[0]).toMatchObject({ why: fault.why, repeated: 1 })
    expect(published[3]?.why).toMatch(/^a still runs as primary of db in term 1 \(repeated \d+ times\)$/)
  })

  it('is the same when only a duration, a size or a position differs', async () => {
    const { published } = await journalOf(
      (journal, ms) => journal.tell({ ...fault, why: `follow failed: timed out after ${2_000 + ms} ms at 0/${ms}A` }),
      250,
      9_000,
    )
    expect(published).toHaveLength(3)
  })

  it('fills no journal with sentences that differ each time, and the newest is told', async () => {
    const { journal, published } = await journalOf(
      (one, ms) => one.tell({ ...fault, why: `attempt number ${ms}` }),
      100,
      120_000,
    )
    journal.flush('all')
    expect(published.length).toBeLessThan(50)
    expect(published.at(-1)?.why).toContain('attempt number 119900')
    expect(published.reduce((sum, { repeated }) => sum + repeated, 0)).toBe(1_200)
  })

  it('loses nothing: every repetition is counted, also what is held back at the end', async () => {
    const { journal, published } = await journalOf((one) => one.tell(fault), 250, 26_000)
    journal.flush('all')
    expect(published.reduce((sum, { repeated }) => sum + repeated, 0)).toBe(104)
  })

  it('holds up nothing else: another sentence, a failure or another service is told at once', async () => {
    const { published } = await journalOf(
      (journal, ms) => {
        journal.tell(fault)
        if (ms === 5_000) {
          journal.tell({ ...fault, why: 'a still runs as primary of db in term 2' })
          journal.tell({ ...fault, kind: 'failed' })
          journal.tell({ ...fault, service: 'other' })
        }
      },
      250,
      6_000,
    )
    const told = published.map(({ at, why, repeated }) => [at, why, repeated])
    expect(told).toEqual([
      ...[0, 250, 500].map((at) => [at, fault.why, 1]),
      [5_000, `${fault.why} (repeated 18 times)`, 18], // in order: what was held back comes before what is new
      [5_000, 'a still runs as primary of db in term 2', 1],
      [5_000, fault.why, 1],
      [5_000, fault.why, 1],
      ...[5_250, 5_500, 5_750].map((at) => [at, fault.why, 1]),
    ])
  })

  it('tells each change of what comes and goes, until that happens too often', async () => {
    const { published } = await journalOf(
      (journal, ms) => journal.tell({ ...fault, kind: ms % 2_000 === 0 ? 'noticed' : 'ended' }),
      1_000,
      600_000,
    )
    expect(published.slice(0, 10).map(({ at }) => at / 1_000)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(published.length).toBeLessThan(150)
  })

  it('keeps no more than it must: thousands of different sentences are forgotten', async () => {
    const { published } = await journalOf((journal, ms) => journal.tell({ ...fault, service: `s${ms}` }), 10, 10_000)
    expect(published).toHaveLength(1_000)
  })
})
