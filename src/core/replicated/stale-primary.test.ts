import { expect, test } from 'vitest'
import { cluster, copy, database, running, view } from '../../../test/made-up.ts'
import type { ReplicaReport } from './quorum-config.ts'
import { stalePrimary } from './stale-primary.ts'

/** b leads in term 2, and the server here still says that it is a primary. */
function seen(term: number, more: Partial<ReplicaReport>) {
  const quorumConfigs = [{ term: 2, primary: 'b', standbys: ['c'], k: 1, id: 'two' }]
  const db = running('db', { role: 'primary', term, replica: copy(more) })
  return view({
    cluster: cluster([database()]),
    store: {
      services: { db: { term: 2, primary: 'b', revision: 3, replica: { phase: 'serving', by: 'b', quorumConfigs } } },
    },
    local: { instances: { db } },
  })
}

test('a primary of an older term is fenced', () => {
  expect(stalePrimary(seen(1, { pledged: 1 }))).toMatchObject([
    {
      rule: 'two-writers',
      steps: [{ kind: 'recruit', term: 2 }],
      why: 'a still runs as primary of db in term 1, current term is 2',
    },
  ])
})

test('a server that goes on after its fence is killed, not fenced again and again', () => {
  // Seen when the data of a primary was removed: recruited already, it was to be recruited again 7 times a second.
  const gone = seen(0, { pledged: 2, recruited: true, position: null })
  expect(stalePrimary(gone)).toMatchObject([{ rule: 'two-writers', steps: [{ kind: 'kill', service: 'db' }] }])
})
