/** The arithmetic, against cases that can be worked out by hand. */
import { describe, expect, it } from 'vitest'
import { cluster, web, worker } from '../../test/made-up.ts'
import { nines } from './availability.ts'
import { GUESSED, type Rates } from './rates.ts'
import { statesOf } from './states.ts'
import { WhatIf } from './whatif.ts'

/** A node is away for a hundredth of the time, a zone for a thousandth, and programs never end. */
const RATES: Rates = {
  mtbfNodeMs: 99_000_000,
  mttrNodeMs: 1_000_000,
  mtbfZoneMs: 999_000_000,
  mttrZoneMs: 1_000_000,
  mtbfRegionMs: 1e15,
  mttrRegionMs: 1,
  mtbfProcessMs: 1e18,
}

const chances = (nodes: readonly string[]) =>
  new Map(statesOf(cluster([web()], nodes), RATES).sets.map(({ down, chance }) => [down.join(' '), chance]))

describe('sets of nodes that are down', () => {
  it.each([[['a', 'b', 'c']], [['a:x', 'b:x', 'c:y']], [['a:x', 'b:x', 'c:x']]])(
    'of %s are everything there is',
    (nodes) => {
      const sum = [...chances(nodes).values()].reduce((a, b) => a + b, 0)
      expect(sum).toBeCloseTo(1, 9)
    },
  )

  it('are independent where nothing is shared', () => {
    expect(chances(['a', 'b']).get('a b')).toBeCloseTo(0.01 * 0.01, 12)
    expect(chances(['a', 'b']).get('a')).toBeCloseTo(0.01 * 0.99, 12)
  })

  it('come together where a zone is shared', () => {
    const both = chances(['a:x', 'b:x', 'c'])
    expect(both.get('a b')).toBeCloseTo((0.001 + 0.999 * 0.0001) * 0.99, 9)
    expect(both.get('a')).toBeCloseTo(0.999 * 0.01 * 0.99 * 0.99, 9)
  })
})

describe('availability', () => {
  const of = (instances: number, nodes: readonly string[]) => {
    const [first] = new WhatIf({ cluster: cluster([web({ instances })], nodes), rates: RATES }).fullReport()
      .availability
    return first
  }

  it('of two copies on two nodes is that of not both down', () => {
    expect(of(2, ['a', 'b'])?.share).toBeCloseTo(1 - 0.0001, 9)
    expect(of(2, ['a', 'b'])).toMatchObject({ more: null, fewer: { instances: 1 } })
  })

  it('counts the pause of what is started elsewhere', () => {
    const one = of(1, ['a', 'b'])
    const pauses = 3_400 / RATES.mtbfNodeMs // 400 ms of silence, 2 s until it counts as lost, a start of 1 s
    expect(one?.share).toBeCloseTo(1 - 0.0001 - pauses, 9)
  })

  it('needs a majority where the store is spread over the nodes', () => {
    const made = cluster([worker({ instances: 3 })])
    const whatif = new WhatIf({ cluster: made, voters: ['a', 'b', 'c'], rates: RATES, primaries: { worker: 'a' } })
    const twoOfThree = 3 * 0.01 * 0.01 * 0.99 + 0.01 ** 3
    const [first] = whatif.fullReport().availability
    expect((first?.outageMsPerYear ?? 0) / (365.25 * 86_400_000)).toBeCloseTo(twoOfThree, 9)
  })

  it('is said in nines', () => {
    expect(nines(0.999)).toBeCloseTo(3)
    expect(nines(1)).toBe(Number.POSITIVE_INFINITY)
    expect(GUESSED.mttrNodeMs / GUESSED.mtbfNodeMs).toBeLessThan(0.001)
  })
})
