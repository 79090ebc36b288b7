import { describe, expect, it } from 'vitest'
import { cluster, copy, database, peer, running, view } from '../../../test/made-up.ts'
import { decide } from '../decide.ts'
import type { InstanceReport, NodeName } from '../model.ts'
import type { QuorumConfig, ReplicaReport } from './quorum-config.ts'

const spec = cluster([database()])
const copyOf = (given: Partial<ReplicaReport>) => copy({ pledged: 6, ...given })
const quorum = { term: 6, primary: 'b', standbys: ['c'], k: 1, id: 'six' }

it('begins while its primary is promoted, when it is fenced for that term', () => {
  const standby = (given: Partial<ReplicaReport>) => running('db', { role: 'standby', replica: copyOf(given) })
  const steps = (given: Partial<ReplicaReport>, primary: InstanceReport | undefined) =>
    decide(
      view({
        cluster: spec,
        store: {
          services: {
            db: {
              term: 6,
              primary: 'b',
              replica: { phase: 'promoting', by: 'b', quorumConfigs: [quorum] },
              revision: 9,
            },
          },
        },
        local: { instances: { db: standby(given) } },
        peers: { b: peer('b', primary ? [primary] : []) },
      }),
    ).acts.map(({ step }) => step.kind)
  expect(steps({ recruited: true }, standby({ recruited: true }))).toEqual(['follow'])
  expect(steps({ recruited: false }, standby({ recruited: true }))).toEqual([])
  expect(steps({ recruited: true }, undefined)).toEqual([])
})

it('is fenced for the present term when what is under way waits for the primary of an older one', () => {
  const record = {
    term: 6,
    primary: 'b',
    replica: { phase: 'serving' as const, by: 'b', quorumConfigs: [quorum] },
    revision: 9,
  }
  const steps = (pledged: number) =>
    decide(
      view({
        cluster: spec,
        store: { services: { db: record } },
        local: {
          instances: { db: running('db', { role: 'standby', replica: copyOf({ pledged }) }) },
          busy: { db: { step: 'follow', backingOff: false } },
        },
      }),
    ).acts.map(({ step }) => step)
  expect(steps(5)).toEqual([{ kind: 'recruit', service: 'db', term: 6 }])
  expect(steps(6)).toEqual([])
})

describe('a copy whose server is down while the primary changes', () => {
  const six = (phase: 'recruiting' | 'promoting' | 'serving', quorumConfigs: readonly QuorumConfig[], term: number) => {
    return { term, primary: 'b', replica: { phase, by: 'b', quorumConfigs }, revision: 9 }
  }
  const down: InstanceReport = { ...running('db', { role: 'none', state: 'stopped', replica: copyOf({ pledged: 5 }) }) }
  const steps = (record: ReturnType<typeof six>, others: readonly NodeName[], recordForMs: number) => {
    const standby = (primary: boolean) =>
      running('db', { role: primary ? 'primary' : 'standby', term: primary ? 6 : 0, replica: copyOf({ pledged: 6 }) })
    return decide(
      view({
        cluster: spec,
        store: { services: { db: record }, recordForMs: { db: recordForMs } },
        local: { instances: { db: down } },
        peers: Object.fromEntries(others.map((node) => [node, peer(node, [standby(node === 'b')])])),
      }),
    ).acts.map(({ step }) => step.kind)
  }
  const five = { term: 5, primary: 'a', standbys: ['b', 'c'], k: 1, id: 'five' }

  it('is not started for the vote when the others are enough, and is when they are not, or take long', () => {
    const recruiting = six('recruiting', [five], 6)
    expect(steps(recruiting, ['b', 'c'], 20)).toEqual([])
    expect(steps(recruiting, ['b'], 20)).toEqual(['recruit'])
    expect(steps(recruiting, ['b', 'c'], 500)).toContain('recruit')
  })

  it('follows a moment after clients are admitted, and at once when it has to confirm their writes', () => {
    const serving = six('serving', [quorum], 6)
    expect(steps(serving, ['b', 'c'], 20)).toEqual([])
    expect(steps(serving, ['b', 'c'], 500)).toContain('follow')
    expect(steps(serving, ['b'], 20)).toContain('follow')
    expect(steps(six('serving', [{ ...quorum, standbys: ['a'] }], 6), ['b'], 20)).toContain('follow')
  })
})
