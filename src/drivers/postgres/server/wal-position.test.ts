import { describe, expect, test } from 'vitest'
import { comparePositions } from '../../../core/replicated/quorum.ts'
import {
  belowForks,
  forkPoint,
  formatLsn,
  furthest,
  parseHistory,
  parseLsn,
  positionOf,
  timelineOfLog,
} from './wal-position.ts'

const MB = 1_048_576n

describe('a position', () => {
  test('is read from an LSN and written as one', () => {
    expect(parseLsn('16/B374D848')).toBe(0x16b374d848n)
    expect(formatLsn(0x16b374d848n)).toBe('16/B374D848')
    expect(formatLsn(parseLsn('0/1'))).toBe('0/1')
    expect(() => parseLsn('1')).toThrow(RangeError)
  })

  test('trap 18: received may be NULL or the start of a segment: the larger of received and replayed counts', () => {
    expect(furthest(null, '0/3000148')).toBe(parseLsn('0/3000148'))
    expect(furthest('0/3000000', '0/3000148')).toBe(parseLsn('0/3000148'))
    expect(furthest('0/3000200', '0/3000148')).toBe(parseLsn('0/3000200'))
    expect(furthest(null, null)).toBeNull()
  })

  test('trap 19: a longer log of an older term loses', () => {
    const lineage = [
      { term: 1, id: 'one', after: 0 },
      { term: 2, id: 'two', after: 1 },
    ]
    const old = positionOf(lineage, 1, 9_000n)
    const young = positionOf(lineage, 2, 5_000n)
    expect(old.term).toBe(1)
    expect(young.term).toBe(2)
    expect(comparePositions(old, young)).toBeLessThan(0)
  })

  test('a term that was followed but never received from does not count', () => {
    const lineage = [
      { term: 1, id: 'one', after: 0 },
      { term: 2, id: 'two', after: 1 },
      { term: 3, id: 'three', after: 1 },
    ]
    expect(positionOf(lineage, 1, 5n).term).toBe(1)
    // Both promotions made timeline 2: what is here came from the one that was followed last.
    expect(positionOf(lineage, 2, 5n).term).toBe(3)
  })
})

describe('the timeline of a log', () => {
  const history = parseHistory('1\t0/3000148\tno recovery target specified\n')

  test('comes from the file that its last byte is in; files made ahead do not count', () => {
    const names = [
      '000000010000000000000002',
      '000000010000000000000003',
      '000000020000000000000003',
      '00000002.history',
    ]
    const ahead = '000000020000000000000009'
    expect(timelineOfLog([...names, ahead], 3n * 16n * MB + 5n, 16n * MB)).toBe(2)
    expect(timelineOfLog(names, 3n * 16n * MB, 16n * MB)).toBe(1) // the last byte is in segment 2
    expect(timelineOfLog([], 5n, 16n * MB)).toBeUndefined()
  })

  test('is the old one until the log has passed the fork, whatever the file is called', () => {
    const of = (timeline: number) => (timeline === 2 ? history : undefined)
    expect(belowForks(2, parseLsn('0/3000148'), of)).toBe(1)
    expect(belowForks(2, parseLsn('0/3000149'), of)).toBe(2)
    expect(belowForks(1, parseLsn('0/9000000'), of)).toBe(1)
  })

  test('has left the history of a primary when it is longer than the fork', () => {
    const log = (text: string) => ({ timeline: 1, log: parseLsn(text) })
    expect(forkPoint(log('0/3000148'), 2, history)).toBeNull()
    expect(forkPoint(log('0/3000150'), 2, history)).toBe(parseLsn('0/3000148'))
    expect(forkPoint({ timeline: 7, log: 5n }, 2, history)).toBe(5n)
    expect(forkPoint({ timeline: 2, log: 5n }, 2, history)).toBeNull()
  })
})
