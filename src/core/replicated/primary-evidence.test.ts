import { describe, expect, it } from 'vitest'
import { cluster, copy, database, peer, running, view } from '../../../test/made-up.ts'
import type { LocalFacts } from '../view.ts'
import { failureOf } from './primary-evidence.ts'

const db = database()
const rule = { term: 4, primary: 'a', members: ['b', 'c'], k: 1, id: 'four' }

/** As `c` sees it, which follows `a`, whose agent has been silent for a second. */
function seen(heardAgoMs: number, local: Partial<LocalFacts> = {}) {
  const replica = { phase: 'serving' as const, by: 'a', rules: [rule] }
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
    expect(failureOf(seen(600), db, rule)?.rule).toBe('primary-lost')
    expect(failureOf(seen(500), db, rule)).toBe(undefined)
  })

  it('is not lost for a standby that was late itself, and has not read yet what its own server heard', () => {
    expect(failureOf(seen(600, { lagMs: 450 }), db, rule)).toBe(undefined)
    expect(failureOf(seen(600, { lagMs: 40 }), db, rule)?.rule).toBe('primary-lost')
    expect(failureOf(seen(990, { lagMs: 400 }), db, rule)?.rule).toBe('primary-lost')
  })
})
