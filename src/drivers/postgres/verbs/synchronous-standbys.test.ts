import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { recruitsNeeded } from '../../../core/replicated/quorum.ts'
import type { QuorumConfig } from '../../../core/replicated/quorum-config.ts'
import { stepsBetween, synchronousStandbyNames } from './synchronous-standbys.ts'

const quorum = (standbys: readonly string[], k: number): QuorumConfig => ({
  term: 1,
  primary: 'p',
  standbys,
  k,
  id: 'x',
})
const names = ['a', 'b', 'c', 'd', 'e', 'f']
const anyQuorum = fc
  .subarray(names)
  .chain((standbys) => fc.integer({ min: 0, max: standbys.length }).map((k) => quorum(standbys, k)))

describe('a rule', () => {
  test('in the words of PostgreSQL', () => {
    expect(synchronousStandbyNames(quorum(['a', 'b"c'], 1))).toBe('ANY 1 ("a", "b""c")')
    expect(synchronousStandbyNames(quorum(['a'], 0))).toBe('')
  })

  test('trap 6: never for every standby', () => {
    expect(() => synchronousStandbyNames(quorum(['*'], 1))).toThrow()
  })

  test('trap 10, 15: changes by one standby or one count at a time, and ends as what was asked for', () => {
    fc.assert(
      fc.property(anyQuorum, anyQuorum, (from, to) => {
        let before = from
        for (const { quorum: after } of stepsBetween(from, to)) {
          const changed =
            new Set([...before.standbys, ...after.standbys]).size -
            Math.min(before.standbys.length, after.standbys.length)
          expect(changed + Math.abs(before.k - after.k)).toBe(1)
          expect(after.k).toBeLessThanOrEqual(after.standbys.length)
          before = after
        }
        expect(new Set(before.standbys)).toEqual(new Set(to.standbys))
        expect(before.k).toBe(to.k)
      }),
    )
  })

  test('trap 10, 15: at every step, every recruitment by the old and by the new config meets those that acknowledge', () => {
    fc.assert(
      fc.property(anyQuorum, anyQuorum, (from, to) => {
        let before = from
        for (const { quorum: after, first } of stepsBetween(from, to)) {
          // While both configs may be in use, the setting is the one that is in force at that moment.
          const setting = first === 'setting' ? after : before
          for (const known of [before, after]) {
            // Alone it acknowledges what no other has: recruiting standbys does not help, so none is elected
            // (core/replicated/quorum.ts).
            if (setting.k === 0) continue
            for (const acknowledging of subsets(setting.standbys).filter((set) => set.length === setting.k)) {
              for (const recruited of subsets(known.standbys).filter((set) => set.length === recruitsNeeded(known))) {
                if (known.k > 0) expect(recruited.some((name) => acknowledging.includes(name))).toBe(true)
              }
            }
          }
          before = after
        }
      }),
      { numRuns: 60 },
    )
  })

  test('the last one that could confirm is gone: the setting first, because its row could not be confirmed', () => {
    const steps = stepsBetween(quorum(['b'], 1), quorum([], 0))
    expect(steps.map(({ quorum: { k, standbys }, first }) => ({ k, standbys, first }))).toEqual([
      { k: 0, standbys: ['b'], first: 'setting' },
      { k: 0, standbys: [], first: 'setting' },
    ])
  })
})

function subsets(all: readonly string[]): string[][] {
  const [first, ...rest] = all
  if (first === undefined) return [[]]
  return subsets(rest).flatMap((set) => [set, [first, ...set]])
}
