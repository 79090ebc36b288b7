import { expect, it } from 'vitest'
import { cluster, database } from '../../test/made-up.ts'
import { NOTHING } from './failure.ts'
import { measuredFrom } from './measured.ts'
import { WhatIf } from './whatif.ts'

const receipts = (...times: number[]) =>
  times.map((backAfterMs) => ({ service: 'db', kind: 'failover' as const, rule: 'primary-lost', backAfterMs }))

it('one long outage does not spoil what was measured', () => {
  expect(measuredFrom(receipts(900, 1_100, 3_600_000, 1_000)).get('db silence')).toBe(1_100)
})

it('a bad day counts, and so does the longest of two', () => {
  expect(measuredFrom(receipts(900, 1_100, 3_000)).get('db silence')).toBe(3_000)
  expect(measuredFrom(receipts(900, 90_000)).get('db silence')).toBe(90_000)
})

it('what was long ago is forgotten', () => {
  const since = Array.from({ length: 20 }, () => 1_000)
  expect(measuredFrom(receipts(4_000, ...since)).get('db silence')).toBe(1_000)
})

it('replicas are where they are, not where a first start would place them', () => {
  const five = cluster([database()], ['a', 'b', 'c', 'd', 'e'])
  const calm = (replicas?: Readonly<Record<string, readonly string[]>>) => {
    const { inquiry } = new WhatIf({ cluster: five, primaries: { db: 'a' }, ...(replicas && { replicas }) })
    const failed = five.nodes.filter(({ name }) => {
      return inquiry.outcome('db', { ...NOTHING, nodes: ['a', name] }).served === false
    })
    return failed.map(({ name }) => name)
  }
  const fresh = calm()
  const others = ['b', 'c', 'd', 'e'].filter((node) => !fresh.includes(node))
  expect(others.length).toBeGreaterThan(1)
  const [one = '', two = ''] = others
  expect(calm({ db: ['a', one, two] })).toEqual([one, two])
})
