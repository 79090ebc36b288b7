import { describe, expect, it } from 'vitest'
import { cluster, copy, database, peer, running, view } from '../../../test/made-up.ts'
import { candidatesIn } from './candidates.ts'
import { expectedRto } from './expected-rto.ts'
import type { ReplicaReport } from './quorum-config.ts'
import { successorRefusal } from './successor.ts'

const DB = database()
const SPEC = cluster([DB])
const RULE = { term: 1, primary: 'a', standbys: ['b', 'c'], k: 1, id: 'first' }
const UNFIT = { why: 'replay is paused: max_connections is 100 here and 150 on the primary', restartHelps: true }

function seen(ofB: Partial<ReplicaReport>, ofC: Partial<ReplicaReport>) {
  const primary = running('db', { role: 'primary', term: 1, replica: copy({ quorum: RULE, quorumDurable: true }) })
  const standby = (its: Partial<ReplicaReport>) =>
    running('db', { role: 'standby', replica: copy({ receivingFrom: 'a', ...its }) })
  return view({
    cluster: SPEC,
    local: { instances: { db: primary } },
    peers: { b: peer('b', [standby(ofB)]), c: peer('c', [standby(ofC)]) },
    store: {
      services: {
        db: { term: 1, primary: 'a', revision: 1, replica: { phase: 'serving', by: 'a', quorumConfigs: [RULE] } },
      },
    },
  })
}

describe('a standby that would not survive a promotion', () => {
  it('is no candidate, and says why', () => {
    const view = seen({ unfit: UNFIT }, {})
    expect(candidatesIn(view, DB)).toEqual([
      expect.objectContaining({ node: 'c', able: true }),
      { node: 'b', able: false, inMs: 0, why: UNFIT.why },
    ])
    expect(expectedRto(view, DB)?.why).toContain('c would take over')
    expect(successorRefusal(view, DB, 'b')).toEqual({ why: `b cannot become primary: ${UNFIT.why}`, passes: true })
  })

  it('leaves no expected RTO when there is no other one', () => {
    expect(expectedRto(seen({ unfit: UNFIT }, { unfit: UNFIT }), DB)).toEqual({
      ifPrimaryDiesMs: null,
      ifNodeIsLostMs: null,
      why: `no failover possible (b: ${UNFIT.why}; c: ${UNFIT.why})`,
    })
  })
})
