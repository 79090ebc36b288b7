import { expect, it } from 'vitest'
import { cluster, running, view, worker } from '../../../../test/made-up.ts'
import { decide } from '../../decide.ts'

it('is fenced for the present term when what is under way waits for the primary of an older one', () => {
  const traits = { singleWriter: false, replicates: true, reportsPosition: true, canRewind: true }
  const spec = cluster([worker({ name: 'db', instances: 3, traits, replication: { k: 1, degrade: 'block' } })])
  const copy = (pledged: number) => ({
    pledged,
    fenced: false,
    position: { term: 1, timeline: 1, log: '100' },
    replayLagBytes: 0,
    rule: null,
    ruleDurable: false,
    streaming: [],
    receivingFrom: null,
    quarantined: false,
    diverged: false,
  })
  const rule = { term: 6, primary: 'b', members: ['c'], k: 1, id: 'six' }
  const record = { term: 6, primary: 'b', replica: { phase: 'serving' as const, by: 'b', rules: [rule] }, revision: 9 }
  const steps = (pledged: number) =>
    decide(
      view({
        cluster: spec,
        store: { services: { db: record } },
        local: {
          instances: { db: running('db', { role: 'standby', replica: copy(pledged) }) },
          busy: { db: 'standby-behind/follow' },
        },
      }),
    ).acts.map(({ step }) => step)
  expect(steps(5)).toEqual([{ kind: 'fence', service: 'db', term: 6 }])
  expect(steps(6)).toEqual([])
})
