import { describe, expect, it } from 'vitest'
import { cluster, copy, database, stopped, view } from '../../../test/made-up.ts'
import { promote } from './promote.ts'

const DB = cluster([database()])
const QUORUM = { term: 1, primary: 'a', standbys: ['b', 'c'], k: 1, id: 'first' }

function steps(phase: 'promoting' | 'serving') {
  const db = stopped('db', { replica: copy({ position: null, pledged: 0 }) })
  const record = { term: 1, primary: 'a', revision: 1, replica: { phase, by: 'a', quorumConfigs: [QUORUM] } }
  return promote(view({ cluster: DB, local: { instances: { db } }, store: { services: { db: record } } })).flatMap(
    (problem) => problem.steps,
  )
}

describe('a node that was chosen to lead in term 1 and has no data', () => {
  it('makes the first copy', () => {
    expect(steps('promoting')).toEqual([{ kind: 'create', service: 'db', quorum: QUORUM }])
  })

  it('makes none when the database has served: the data is on the others, and an empty one would block them', () => {
    expect(steps('serving')).toEqual([])
  })
})
