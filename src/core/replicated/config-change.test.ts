import { expect, it } from 'vitest'
import { cluster, copy, database, peer, running, stopped, view } from '../../../test/made-up.ts'
import type { PeerFacts } from '../view.ts'
import { configChange } from './config-change.ts'

const DB = cluster([database()])
const QUORUM = { term: 1, primary: 'a', standbys: ['b', 'c'], k: 1, id: 'first' }
const LOST: Partial<PeerFacts> = { state: 'lost', heardAgoMs: 5_000 }
const BLOCKED = 'writes to db are blocked: b, c are unreachable, and ANY 1 (b, c) must confirm them'

/** What a, which leads in term 1, says while none of its standbys runs. */
function said(phase: 'promoting' | 'serving', facts: Partial<PeerFacts> = {}): string[] {
  const replica = copy({ quorum: QUORUM, streaming: [] })
  const none = stopped('db', { replica: copy({ position: null, pledged: 0, receivingFrom: null }) })
  const record = { term: 1, primary: 'a', revision: 1, replica: { phase, by: 'a', quorumConfigs: [QUORUM] } }
  const seen = view({
    cluster: DB,
    local: { instances: { db: running('db', { role: 'primary', term: 1, replica }) } },
    store: { services: { db: record } },
    peers: { b: peer('b', [none], facts), c: peer('c', [none], facts) },
  })
  return configChange(seen).map(({ why }) => why)
}

it('writes are not blocked before there are any: standbys that get their first copy are not lost', () => {
  expect(said('promoting')).toEqual([])
  expect(said('promoting', { state: 'condemned', heardAgoMs: 1_000 })).toEqual([])
})

it('says that writes are blocked when standbys are lost, also before the first write', () => {
  expect(said('promoting', LOST)).toEqual([BLOCKED])
  expect(said('serving')).toEqual([BLOCKED])
})
