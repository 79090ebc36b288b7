import { describe, expect, it } from 'vitest'
import { cluster, copy, database, peer, running, view } from '../../../test/made-up.ts'
import type { LocalFacts } from '../view.ts'
import { failureOf, stalledOf } from './primary-evidence.ts'

const db = database()
const quorum = { term: 4, primary: 'a', standbys: ['b', 'c'], k: 1, id: 'four' }

/** As `c` sees it, which follows `a`, whose agent has been silent for a second. */
function seen(heardAgoMs: number, local: Partial<LocalFacts> = {}) {
  const replica = { phase: 'serving' as const, by: 'a', quorumConfigs: [quorum] }
  const services = { db: { term: 4, primary: 'a', revision: 3, replica } }
  const standby = running('db', { role: 'standby', replica: copy({ receivingFrom: 'a', heardAgoMs }) })
  const peers = { a: peer('a', [], { state: 'condemned', heardAgoMs: 1_000 }) }
  return view({
    self: 'c',
    cluster: cluster([db]),
    store: { services },
    peers,
    local: { instances: { db: standby }, ...local },
  })
}

describe('a primary whose agent is silent', () => {
  it('is lost when its server is silent, too', () => {
    expect(failureOf(seen(600), db, quorum)?.rule).toBe('primary-lost')
    expect(failureOf(seen(500), db, quorum)).toBe(undefined)
  })

  it('is not lost for a standby that was late itself, and has not read yet what its own server heard', () => {
    expect(failureOf(seen(600, { lagMs: 450 }), db, quorum)).toBe(undefined)
    expect(failureOf(seen(600, { lagMs: 40 }), db, quorum)?.rule).toBe('primary-lost')
    expect(failureOf(seen(990, { lagMs: 400 }), db, quorum)?.rule).toBe('primary-lost')
  })
})

describe('an elected primary that does not lead yet', () => {
  const elected = (term: number, forMs: number) => {
    const config = { ...quorum, term }
    const replica = { phase: 'promoting' as const, by: 'a', quorumConfigs: [config] }
    const services = { db: { term, primary: 'a', revision: 3, replica } }
    const seenBy = view({ self: 'c', cluster: cluster([db]), store: { services, recordForMs: { db: forMs } } })
    return stalledOf(seenBy, db, config)?.why
  }

  it('has stalled after ten seconds', () => {
    expect(elected(4, 9_000)).toBeUndefined()
    expect(elected(4, 11_000)).toBe('a is not primary of db 10 s after it was elected')
  })

  it('may take as long as a start to create the database: a slow first boot is no failover', () => {
    expect(elected(1, 11_000)).toBeUndefined()
    expect(elected(1, db.timing.startWithinMs + 1_000)).toContain('a has not created the database db within')
  })
})
