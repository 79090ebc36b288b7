import { describe, expect, test } from 'vitest'
import { seededRandom } from '../lib/random.ts'
import { type Candidate, pick } from './pick.ts'
import { type Belief, firstBelief } from './verdict.ts'

const healthy = firstBelief(0)
const suspect: Belief = { ...healthy, verdict: 'suspect', cause: 'silent' }
const silent: Belief = { ...healthy, verdict: 'dead', cause: 'silent' }
const refusing: Belief = { ...healthy, verdict: 'dead', cause: 'refused' }

interface Named extends Candidate {
  readonly name: string
}
function target(name: string, belief: Belief = healthy, more: Partial<Candidate> = {}): Named {
  return { name, belief, load: 0, streams: 0, full: false, lifeMs: 0, ...more }
}
function picked(candidates: readonly Named[], mayBeRepeated = true, seed = 1): string | undefined {
  return pick(candidates, mayBeRepeated, seededRandom(seed))?.name
}

describe('load', () => {
  test('up to three targets: always the least loaded', () => {
    const three = [
      target('a', healthy, { load: 2 }),
      target('b', healthy, { load: 1 }),
      target('c', healthy, { load: 3 }),
    ]
    for (let seed = 0; seed < 50; seed++) expect(picked(three, true, seed)).toBe('b')
  })

  test('ties are spread evenly', () => {
    const random = seededRandom(7)
    const counts: Record<string, number> = {}
    for (let turn = 0; turn < 3_000; turn++) {
      const name = pick([target('a'), target('b'), target('c')], true, random)?.name ?? ''
      counts[name] = (counts[name] ?? 0) + 1
    }
    for (const count of Object.values(counts)) expect(Math.abs(count - 1_000)).toBeLessThan(150)
  })

  test('more than three: the most loaded of all is never taken, the others are', () => {
    const random = seededRandom(3)
    const many = Array.from({ length: 7 }, (_, index) => target(`t${index}`, healthy, { load: index }))
    const taken = new Set(Array.from({ length: 500 }, () => pick(many, true, random)?.name))
    expect(taken).not.toContain('t6')
    expect(taken.size).toBe(6)
  })

  test('one that is full is passed over', () => {
    expect(picked([target('a', healthy, { full: true }), target('b', suspect)])).toBe('b')
    expect(picked([target('a', healthy, { full: true })])).toBeUndefined()
  })
})

describe('failing open', () => {
  test('a suspect gets nothing while another is healthy, however loaded', () => {
    expect(picked([target('a', suspect), target('b', healthy, { load: 900 })])).toBe('b')
  })
  test('suspects are better than no target', () => {
    expect(picked([target('a', suspect), target('b', silent)], false)).toBe('a')
  })
  test('the silent come last, only for what may be repeated, and the one heard from last first', () => {
    const silents = [target('a', silent, { lifeMs: 1 }), target('b', silent, { lifeMs: 9 }), target('c', refusing)]
    expect(picked(silents)).toBe('b')
    expect(picked(silents, false)).toBeUndefined()
  })
  test('no program listens there: never', () => {
    expect(picked([target('a', refusing)])).toBeUndefined()
  })
})
