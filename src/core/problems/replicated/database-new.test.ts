import { describe, expect, it } from 'vitest'
import { cluster, peer, stopped, view, worker } from '../../../../test/made-up.ts'
import type { ReplicaReport } from '../../replica.ts'
import { databaseNew } from './database-new.ts'

const traits = { singleWriter: false, replicates: true, reportsPosition: true, canRewind: true }
const database = (adopts: boolean) =>
  cluster([
    worker({
      name: 'db',
      instances: 3,
      traits,
      replication: { k: 1, degrade: 'block', ...(adopts ? { adopts: true as const } : {}) },
    }),
  ])
const data: ReplicaReport = {
  pledged: 0,
  fenced: false,
  position: { term: 0, timeline: 1, log: '0' },
  replayLagBytes: 0,
  rule: null,
  ruleDurable: false,
  streaming: [],
  receivingFrom: null,
  quarantined: false,
  diverged: false,
}
const mine = { local: { instances: { db: stopped('db', { replica: data }) } } }
const theirs = { peers: { b: peer('b', [stopped('db', { replica: data })]) } }

describe('a database that takes over data that is there', () => {
  const find = (given: object, adopts = true) => databaseNew(view({ cluster: database(adopts), ...given }))[0]

  it('is begun by who has the data, and by nobody else, wherever it would be placed', () => {
    expect(find(mine)).toMatchObject({ why: 'db takes over the data on a', steps: [{ kind: 'record' }] })
    expect(find(theirs)).toMatchObject({ why: 'db takes over the data on b', steps: [] })
  })

  it('is begun by nobody while nobody has data, or several have', () => {
    expect(find({})?.steps).toEqual([])
    expect(find({ ...mine, ...theirs })).toMatchObject({ why: expect.stringMatching(/a and b have some/), steps: [] })
  })
})
