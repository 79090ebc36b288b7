/** Each invariant, seen to fail and seen to hold. What defends it in the simulator is in docs/safety.md. */
import { describe, expect, it } from 'vitest'
import { cluster, running, web, worker } from '../../test/made-up.ts'
import {
  nothingIsMissing,
  oneRunForTerm,
  oneWriter,
  onlyTheNewestAcknowledges,
  type Seen,
  termsAreGranted,
  termsGrow,
  zonesAreSpread,
} from './invariants.ts'

const leads = (node: string, term: number, pid = 1): Seen => ({
  node,
  instance: running('worker', { role: 'primary', term, pid, startTime: 7 }),
})

describe('invariants', () => {
  it('oneWriter: two that run as primary are two too many, and one is none', () => {
    const spec = cluster([worker()])
    expect(oneWriter(spec, [leads('a', 3), leads('b', 4)])).toEqual(['worker has 2 primaries: a (term 3), b (term 4)'])
    expect(oneWriter(spec, [leads('a', 3)])).toEqual([])
    expect(
      oneWriter(cluster([worker({ traits: { ...worker().traits, singleWriter: false } })]), [
        leads('a', 3),
        leads('b', 4),
      ]),
    ).toEqual([])
  })

  it('termsGrow: never back', () => {
    expect(termsGrow({ worker: 4 }, { worker: 3 })).toEqual(['the term of worker went from 4 back to 3'])
    expect(termsGrow({ worker: 4 }, {})).toHaveLength(1)
    expect(termsGrow({ worker: 4 }, { worker: 4, other: 1 })).toEqual([])
  })

  it('termsAreGranted: there is no primary in a term that the store never handed out', () => {
    expect(termsAreGranted({ worker: 3 }, [leads('a', 4)])).toHaveLength(1)
    expect(termsAreGranted({}, [leads('a', 1)])).toHaveLength(1)
    expect(termsAreGranted({ worker: 4 }, [leads('a', 4)])).toEqual([])
  })

  it('oneRunForTerm: a token belongs to one process, also on one node', () => {
    expect(oneRunForTerm(leads('a', 3, 1), leads('a', 3, 2))).toHaveLength(1)
    expect(oneRunForTerm(leads('a', 3, 1), leads('b', 3, 1))).toHaveLength(1)
    expect(oneRunForTerm(leads('a', 3, 1), leads('a', 3, 1))).toEqual([])
    expect(oneRunForTerm(undefined, leads('a', 3))).toEqual([])
  })

  it('zonesAreSpread: no zone twice while another has none', () => {
    const service = web({ instances: 2 })
    const spec = cluster([service], ['a:north', 'b:north', 'c:south'])
    expect(zonesAreSpread(spec, service, ['a', 'b'])).toEqual([
      'web has two instances in zone default/north and none in default/south',
    ])
    expect(zonesAreSpread(spec, service, ['a', 'c'])).toEqual([])
    expect(zonesAreSpread(spec, { ...service, nodes: ['a', 'b'] }, ['a', 'b'])).toEqual([])
  })

  it('nothingIsMissing: the same number at the same place is not the same write', () => {
    const [one, two] = [{ index: 0 }, { index: 1 }]
    expect(nothingIsMissing('db', 'a', [one, two], [one])).toEqual(['db on a lacks acknowledged writes: 1 of 2'])
    expect(nothingIsMissing('db', 'a', [one, two], [one, { index: 1 }])).toHaveLength(1)
    expect(nothingIsMissing('db', 'a', [one, two], [one, two, { index: 2 }])).toEqual([])
  })

  it('onlyTheNewestAcknowledges: not in a lower term than is led already', () => {
    expect(onlyTheNewestAcknowledges('db', 'a', 2, 3)).toHaveLength(1)
    expect(onlyTheNewestAcknowledges('db', 'a', 3, 3)).toEqual([])
  })
})
