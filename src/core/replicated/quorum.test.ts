import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { beats, beatsAll, comparePositions, furthest, type Recruited, recruitsNeeded, stepTowards } from './quorum.ts'
import type { Position, QuorumConfig } from './quorum-config.ts'

const NODES: readonly string[] = ['a', 'b', 'c', 'd', 'e', 'f', 'g']

const quorumConfigs = fc
  .record({ n: fc.integer({ min: 0, max: 6 }), k: fc.integer({ min: 0, max: 6 }) })
  .filter(({ n, k }) => k <= n)
  .map(({ n, k }): QuorumConfig => ({ term: 3, primary: 'a', standbys: NODES.slice(1, n + 1), k, id: 'r' }))

const at = (term: number, log: number): Position => ({ term, timeline: 1, log: String(log) })
const fencedAt = (nodes: readonly string[], position = at(3, 10)): Recruited[] =>
  nodes.map((node) => ({ node, position }))

/** Every choice of `count` out of `items`. */
function choices<T>(items: readonly T[], count: number): T[][] {
  if (count === 0) return [[]]
  return items.flatMap((item, index) => choices(items.slice(index + 1), count - 1).map((rest) => [item, ...rest]))
}

function subsets<T>(items: readonly T[]): T[][] {
  return items.reduce<T[][]>((all, item) => all.concat(all.map((one) => one.concat(item))), [[]])
}

describe('a fence', () => {
  it('of n - k + 1 meets every quorum, and leaves none: for every rule of up to 7 nodes', () => {
    for (let n = 1; n <= 6; n += 1) {
      for (let k = 1; k <= n; k += 1) {
        const quorum: QuorumConfig = { term: 3, primary: 'a', standbys: NODES.slice(1, n + 1), k, id: 'r' }
        for (const fence of choices(quorum.standbys, recruitsNeeded(quorum))) {
          for (const confirming of choices(quorum.standbys, k))
            expect(confirming.some((node) => fence.includes(node))).toBe(true)
          expect(quorum.standbys.length - fence.length).toBeLessThan(k)
        }
        // One less is too few: some quorum is missed, so the arithmetic is not merely careful.
        for (const small of choices(quorum.standbys, recruitsNeeded(quorum) - 1)) {
          const rest = quorum.standbys.filter((node) => !small.includes(node))
          expect(rest.length).toBeGreaterThanOrEqual(k)
          expect(beats(fencedAt(small), quorum)).toBe(false)
        }
      }
    }
  })

  it('beats a rule exactly when no quorum can form or have formed without it', () => {
    fc.assert(
      fc.property(quorumConfigs, fc.subarray([...NODES]), (quorum, nodes) => {
        const free = quorum.standbys.filter((node) => !nodes.includes(node))
        const quorumWithout = !nodes.includes('a') && free.length >= quorum.k
        expect(beats(fencedAt(nodes), quorum)).toBe(!quorumWithout)
      }),
    )
  })

  it('that has log of a later term has all of the earlier ones', () => {
    const quorum: QuorumConfig = { term: 3, primary: 'a', standbys: ['b', 'c'], k: 1, id: 'r' }
    expect(beats(fencedAt(['d'], at(4, 1)), quorum)).toBe(true)
    expect(beats(fencedAt(['d'], at(3, 99)), quorum)).toBe(false)
  })

  it('does not count the primary of a rule that has older log than the rule', () => {
    const quorum: QuorumConfig = { term: 3, primary: 'a', standbys: ['b', 'c'], k: 1, id: 'r' }
    expect(beats(fencedAt(['a'], at(2, 99)), quorum)).toBe(false)
  })

  it('beats a primary that runs alone only by that node itself', () => {
    const alone: QuorumConfig = { term: 3, primary: 'a', standbys: [], k: 0, id: 'r' }
    expect(beats(fencedAt(['b', 'c', 'd']), alone)).toBe(false)
    expect(beats(fencedAt(['a']), alone)).toBe(true)
  })
})

describe('the furthest', () => {
  it('is by term first, and a longer log of an older term loses', () => {
    const old = { node: 'b', position: at(2, 900) }
    const young = { node: 'c', position: at(3, 5) }
    expect(furthest([old, young])).toEqual([young])
    expect(comparePositions(old.position, young.position)).toBeLessThan(0)
  })

  it('compares logs as numbers of any size', () => {
    expect(comparePositions(at(1, 0), { term: 1, timeline: 1, log: '18446744073709551615' })).toBeLessThan(0)
    expect(comparePositions({ ...at(1, 0), log: '9' }, { ...at(1, 0), log: '10' })).toBeLessThan(0)
  })

  it('of a set that beats a rule has every acknowledged write', () => {
    fc.assert(
      fc.property(
        quorumConfigs,
        fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 6, maxLength: 6 }),
        (quorum, logs) => {
          fc.pre(quorum.k > 0)
          const logOf = new Map(quorum.standbys.map((node, index) => [node, logs[index] ?? 0]))
          // Acknowledged is what k standbys have.
          const acknowledged = [...logOf.values()].sort((a, b) => b - a)[quorum.k - 1] ?? 0
          for (const nodes of subsets(quorum.standbys)) {
            const recruited = nodes.map((node) => ({ node, position: at(3, logOf.get(node) ?? 0) }))
            if (!beats(recruited, quorum)) continue
            for (const { position } of furthest(recruited))
              expect(Number(position.log)).toBeGreaterThanOrEqual(acknowledged)
          }
        },
      ),
    )
  })
})

describe('a change of rule', () => {
  const targets = fc
    .record({ standbys: fc.subarray(NODES.slice(1)), k: fc.integer({ min: 0, max: 6 }) })
    .map(({ standbys, k }) => ({ standbys, k: Math.min(k, standbys.length) }))

  it('takes one standby or one count at a time, never asks for more than there are, and arrives', () => {
    fc.assert(
      fc.property(quorumConfigs, targets, (from, { standbys, k }) => {
        let quorum = from
        for (let steps = 0; ; steps += 1) {
          const next = stepTowards(quorum, standbys, k)
          if (!next) break
          const moved = Math.abs(next.standbys.length - quorum.standbys.length) + Math.abs(next.k - quorum.k)
          expect(moved).toBe(1)
          expect(next.k).toBeLessThanOrEqual(next.standbys.length)
          expect(steps).toBeLessThan(20)
          quorum = next
        }
        expect([...quorum.standbys].sort()).toEqual([...standbys].sort())
        expect(quorum.k).toBe(k)
      }),
    )
  })

  it('is safe on the way: what beats both configs meets every quorum of either', () => {
    fc.assert(
      fc.property(quorumConfigs, targets, fc.subarray([...NODES.slice(1)]), (from, { standbys, k }, nodes) => {
        const next = stepTowards(from, standbys, k)
        fc.pre(next !== undefined && next.k > 0 && from.k > 0)
        if (!next || !beatsAll(fencedAt(nodes), [from, next])) return
        for (const quorum of [from, next]) {
          for (const confirming of choices(quorum.standbys, quorum.k))
            expect(confirming.some((node) => nodes.includes(node))).toBe(true)
        }
      }),
    )
  })

  it('costs a fence at most one node more than the worse of the two rules', () => {
    fc.assert(
      fc.property(quorumConfigs, targets, (from, { standbys, k }) => {
        const next = stepTowards(from, standbys, k)
        fc.pre(next !== undefined && next.k > 0 && from.k > 0)
        if (!next) return
        const all = [...new Set([...from.standbys, ...next.standbys])]
        const least = subsets(all).filter((nodes) => beatsAll(fencedAt(nodes), [from, next]))
        const size = Math.min(...least.map(({ length }) => length))
        expect(size).toBeLessThanOrEqual(Math.max(recruitsNeeded(from), recruitsNeeded(next)) + 1)
      }),
    )
  })
})
