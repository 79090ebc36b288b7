import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { recruitsNeeded } from '../../../core/replicated/quorum.ts'
import type { QuorumConfig } from '../../../core/replicated/quorum-config.ts'
import { stepsBetween, synchronousStandbyNames } from './synchronous-standbys.ts'

const rule = (members: readonly string[], k: number): QuorumConfig => ({ term: 1, primary: 'p', members, k, id: 'x' })
const names = ['a', 'b', 'c', 'd', 'e', 'f']
const anyRule = fc
  .subarray(names)
  .chain((members) => fc.integer({ min: 0, max: members.length }).map((k) => rule(members, k)))

describe('a rule', () => {
  test('in the words of PostgreSQL', () => {
    expect(synchronousStandbyNames(rule(['a', 'b"c'], 1))).toBe('ANY 1 ("a", "b""c")')
    expect(synchronousStandbyNames(rule(['a'], 0))).toBe('')
  })

  test('trap 6: never for everybody', () => {
    expect(() => synchronousStandbyNames(rule(['*'], 1))).toThrow()
  })

  test('trap 10, 15: changes by one member or one count at a time, and ends as what was asked for', () => {
    fc.assert(
      fc.property(anyRule, anyRule, (from, to) => {
        let before = from
        for (const { rule: after } of stepsBetween(from, to)) {
          const changed =
            new Set([...before.members, ...after.members]).size - Math.min(before.members.length, after.members.length)
          expect(changed + Math.abs(before.k - after.k)).toBe(1)
          expect(after.k).toBeLessThanOrEqual(after.members.length)
          before = after
        }
        expect(new Set(before.members)).toEqual(new Set(to.members))
        expect(before.k).toBe(to.k)
      }),
    )
  })

  test('trap 10, 15: at every step, whoever acknowledges is met by every fence of the old and of the new rule', () => {
    fc.assert(
      fc.property(anyRule, anyRule, (from, to) => {
        let before = from
        for (const { rule: after, first } of stepsBetween(from, to)) {
          // While both rules may be in somebody's hands, the setting is the one that is in force at that moment.
          const setting = first === 'setting' ? after : before
          for (const known of [before, after]) {
            // Alone it acknowledges what nobody else has: no fence of standbys helps, so nobody is elected (core/replicated/quorum.ts).
            if (setting.k === 0) continue
            for (const acknowledging of subsets(setting.members).filter((set) => set.length === setting.k)) {
              for (const fenced of subsets(known.members).filter((set) => set.length === recruitsNeeded(known))) {
                if (known.k > 0) expect(fenced.some((name) => acknowledging.includes(name))).toBe(true)
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
    const steps = stepsBetween(rule(['b'], 1), rule([], 0))
    expect(steps.map(({ rule: { k, members }, first }) => ({ k, members, first }))).toEqual([
      { k: 0, members: ['b'], first: 'setting' },
      { k: 0, members: [], first: 'setting' },
    ])
  })
})

function subsets(all: readonly string[]): string[][] {
  const [first, ...rest] = all
  if (first === undefined) return [[]]
  return subsets(rest).flatMap((set) => [set, [first, ...set]])
}
