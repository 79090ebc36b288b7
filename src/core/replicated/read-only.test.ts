import { describe, expect, it } from 'vitest'
import { cluster, copy, database, peer, running, view } from '../../../test/made-up.ts'
import type { InstanceReport } from '../model.ts'
import { routesFor } from '../routing.ts'
import type { PeerFacts } from '../view.ts'
import type { ReplicaReport } from './quorum-config.ts'
import { readOnlyOf } from './read-only.ts'

const db = database({ endpoints: [{ purpose: 'primary', protocol: 'tcp', port: 5432 }] })
const quorum = { term: 4, primary: 'a', standbys: ['b', 'c'], k: 1, id: 'four' }

function upTo(log: number, more: Partial<ReplicaReport> = {}): ReplicaReport {
  return copy({ pledged: 4, position: { term: 4, timeline: 1, log: String(log) }, quorum, ...more })
}

function standby(log: number, more: Partial<ReplicaReport> = {}): InstanceReport {
  return running('db', { role: 'standby', replica: upTo(log, more), port: 20_000 })
}

function primary(more: Partial<ReplicaReport> = {}, given: Partial<InstanceReport> = {}): InstanceReport {
  return running('db', { role: 'primary', term: 4, replica: upTo(9, { quorumDurable: true, ...more }), ...given })
}

const lost: Partial<PeerFacts> = { state: 'lost', heardAgoMs: 5_000 }
const on = (node: string, instance: InstanceReport, facts: Partial<PeerFacts> = {}) => ({
  [node]: peer(node, [instance], facts),
})

function seen(self: string, local: InstanceReport, peers: Readonly<Record<string, PeerFacts>>, nodes?: string[]) {
  const replica = { phase: 'serving' as const, by: 'a', quorumConfigs: [quorum] }
  const services = { db: { term: 4, primary: 'a', revision: 3, replica } }
  return view({ self, cluster: cluster([db], nodes), store: { services }, peers, local: { instances: { db: local } } })
}

describe('a database that can have no primary', () => {
  it('is read-only when two of three are lost: balancers route to the replica that is left, in the newest term', () => {
    const now = seen('c', standby(7), { ...on('a', primary(), lost), ...on('b', standby(8), lost) })
    expect(readOnlyOf(now, db)).toEqual({
      why: 'db is read-only: quorum lost (up: c; down: a, b). c serves reads. Writes resume when a or b returns',
      reads: 'c',
    })
    const [route] = routesFor(now)
    expect(route?.readOnly).toMatch(/^db is read-only/)
    expect(route?.targets.map(({ node, state, term }) => [node, state, term])).toEqual([
      ['a', 'dead', 4],
      ['c', 'serving', 4],
    ])
  })

  it('is not while the nodes are merely silent, and not when one is enough', () => {
    const silent: Partial<PeerFacts> = { state: 'condemned', heardAgoMs: 1_000 }
    expect(
      readOnlyOf(seen('c', standby(7), { ...on('a', primary(), silent), ...on('b', standby(8), silent) }), db),
    ).toBe(undefined)
    expect(readOnlyOf(seen('c', standby(7), { ...on('a', primary(), lost), ...on('b', standby(8)) }), db)).toBe(
      undefined,
    )
  })

  it('is not while log still comes from a primary whose agent is dead', () => {
    const now = seen('c', standby(7, { receivingFrom: 'a' }), {
      ...on('a', primary({ streaming: [{ node: 'c', lagBytes: 0 }] }), lost),
      ...on('b', standby(8), lost),
    })
    expect(readOnlyOf(now, db)).toBe(undefined)
    expect(routesFor(now)[0]?.targets.map(({ node, state }) => [node, state])).toEqual([['a', 'serving']])
  })

  it('is served by its primary when only the standbys are lost, also when that is unhealthy for want of them', () => {
    const alone = primary(
      {},
      { health: 'unhealthy', note: 'commits blocked on synchronous replication: 0 standbys stream' },
    )
    const now = seen('a', alone, { ...on('b', standby(8), lost), ...on('c', standby(7), lost) })
    expect(readOnlyOf(now, db)?.reads).toBe('a')
    expect(routesFor(now)[0]?.targets.map(({ node, state }) => [node, state])).toEqual([['a', 'serving']])
    const oneLeft = seen('a', primary(), { ...on('b', standby(8), lost), ...on('c', standby(7)) })
    expect(readOnlyOf(oneLeft, db)).toBe(undefined)
  })

  it('is read from the copy that has most, and from none that went astray', () => {
    const nodes = ['a', 'b', 'c', 'd', 'e']
    const five = { ...quorum, standbys: ['b', 'c', 'd', 'e'], k: 2 }
    const peers = {
      ...on('a', primary(), lost),
      ...on('b', standby(8), lost),
      ...on('e', standby(9), lost),
      ...on('d', standby(8, { diverged: true })),
    }
    const base = seen('c', standby(7), peers, nodes)
    const services = {
      db: {
        term: 4,
        primary: 'a',
        revision: 3,
        replica: { phase: 'serving' as const, by: 'a', quorumConfigs: [five] },
      },
    }
    const now = { ...base, store: { ...base.store, services } }
    expect(readOnlyOf(now, db)?.reads).toBe('c')
    expect(readOnlyOf({ ...now, peers: { ...now.peers, ...on('d', standby(8)) } }, db)?.reads).toBe('d')
  })
})
