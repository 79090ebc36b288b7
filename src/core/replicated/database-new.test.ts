import { describe, expect, it } from 'vitest'
import { cluster, copy, database, peer, stopped, view } from '../../../test/made-up.ts'
import { databaseNew } from './database-new.ts'

const of = (adopts: boolean) =>
  cluster([database({ replication: { k: 1, degrade: 'block', ...(adopts ? { adopts: true as const } : {}) } })])
const data = copy({ pledged: 0, position: { term: 0, timeline: 1, log: '0' } })
const mine = { local: { instances: { db: stopped('db', { replica: data }) } } }
const theirs = { peers: { b: peer('b', [stopped('db', { replica: data })]) } }

describe('a database that takes over data that is there', () => {
  const find = (given: object, adopts = true) => databaseNew(view({ cluster: of(adopts), ...given }))[0]

  it('is begun by the node that has the data, and by no other, wherever it would be placed', () => {
    expect(find(mine)).toMatchObject({ why: 'db takes over the data on a', steps: [{ kind: 'record' }] })
    expect(find(theirs)).toMatchObject({ why: 'db takes over the data on b', steps: [] })
  })

  it('is not begun while no node has data, or several have', () => {
    expect(find({})?.steps).toEqual([])
    expect(find({ ...mine, ...theirs })).toMatchObject({ why: expect.stringMatching(/a and b have some/), steps: [] })
  })
})
