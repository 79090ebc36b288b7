import { expect, it } from 'vitest'
import { cluster, copy, database, peer, running, view } from '../../../../test/made-up.ts'
import { decide } from '../../decide.ts'
import type { InstanceReport } from '../../model.ts'
import type { ReplicaReport } from '../../replica.ts'

const spec = cluster([database()])
const copyOf = (given: Partial<ReplicaReport>) => copy({ pledged: 6, ...given })
const rule = { term: 6, primary: 'b', members: ['c'], k: 1, id: 'six' }

it('begins while its primary is promoted, when it is fenced for that term', () => {
  const standby = (given: Partial<ReplicaReport>) => running('db', { role: 'standby', replica: copyOf(given) })
  const steps = (given: Partial<ReplicaReport>, primary: InstanceReport | undefined) =>
    decide(
      view({
        cluster: spec,
        store: {
          services: {
            db: { term: 6, primary: 'b', replica: { phase: 'promoting', by: 'b', rules: [rule] }, revision: 9 },
          },
        },
        local: { instances: { db: standby(given) } },
        peers: { b: peer('b', primary ? [primary] : []) },
      }),
    ).acts.map(({ step }) => step.kind)
  expect(steps({ fenced: true }, standby({ fenced: true }))).toEqual(['follow'])
  expect(steps({ fenced: false }, standby({ fenced: true }))).toEqual([])
  expect(steps({ fenced: true }, undefined)).toEqual([])
})

it('is fenced for the present term when what is under way waits for the primary of an older one', () => {
  const record = { term: 6, primary: 'b', replica: { phase: 'serving' as const, by: 'b', rules: [rule] }, revision: 9 }
  const steps = (pledged: number) =>
    decide(
      view({
        cluster: spec,
        store: { services: { db: record } },
        local: {
          instances: { db: running('db', { role: 'standby', replica: copyOf({ pledged }) }) },
          busy: { db: 'standby-behind/follow' },
        },
      }),
    ).acts.map(({ step }) => step)
  expect(steps(5)).toEqual([{ kind: 'fence', service: 'db', term: 6 }])
  expect(steps(6)).toEqual([])
})
