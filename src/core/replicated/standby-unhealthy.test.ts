import { describe, expect, it } from 'vitest'
import { cluster, copy, database, peer, running, view } from '../../../test/made-up.ts'
import type { InstanceReport } from '../model.ts'
import type { ReplicaReport } from './quorum-config.ts'
import { standbyUnhealthy } from './standby-unhealthy.ts'

const DB = cluster([database()])

function steps(given: Partial<InstanceReport>, its: Partial<ReplicaReport> = {}, step?: 'follow' | 'create') {
  const busy = step ? { db: { step, backingOff: false } } : {}
  const db = running('db', { role: 'standby', replica: copy({ receivingFrom: 'b', ...its }), ...given })
  return standbyUnhealthy(view({ cluster: DB, local: { instances: { db }, busy } })).flatMap((problem) => problem.steps)
}

describe('a standby that is not well', () => {
  const KILL = [{ kind: 'kill', service: 'db' }]

  it('is ended when nothing is known of its health for too long', () => {
    expect(steps({ health: 'unknown', stateForMs: 29_000 })).toEqual([])
    expect(steps({ health: 'unknown', stateForMs: 31_000 })).toEqual(KILL)
  })

  it('is left in peace while it catches up or copies: the next attempt would begin again', () => {
    const slow = { health: 'unknown', stateForMs: 3_600_000 } as const
    expect(steps(slow, { quarantined: true })).toEqual([])
    expect(steps(slow, {}, 'follow')).toEqual([])
    expect(steps(slow, {}, 'create')).toEqual([]) // out of a backup
  })

  it('is ended when it hangs or says that it is ill, whatever it is doing', () => {
    expect(steps({ hung: true }, { quarantined: true }, 'follow')).toEqual(KILL)
    expect(steps({ health: 'unhealthy', healthForMs: 4_000 }, { quarantined: true })).toEqual(KILL)
  })

  it('is started anew when its replay is paused because a setting is less than its primary’s', () => {
    const ill = { health: 'unhealthy', healthForMs: 4_000 } as const
    const why = 'replay is paused: max_connections is 100 here and 150 on the primary'
    expect(steps(ill, { unfit: { why, restartHelps: true } })).toEqual(KILL)
  })

  it('is left as it is when an operator paused its replay', () => {
    const ill = { health: 'unhealthy', healthForMs: 3_600_000 } as const
    expect(steps(ill, { unfit: { why: 'replay is paused', restartHelps: false } })).toEqual([])
  })

  it('waits for its turn when another one is started anew for the same reason', () => {
    const unfit = { why: 'replay is paused', restartHelps: true }
    const db = (healthForMs: number) =>
      running('db', { role: 'standby', health: 'unhealthy', healthForMs, replica: copy({ unfit }) })
    const found = (forMs: number) =>
      standbyUnhealthy(
        view({
          self: 'c',
          cluster: DB,
          local: { instances: { db: db(forMs) } },
          peers: { b: peer('b', [db(forMs)]) },
        }),
      ).flatMap((problem) => problem.steps)
    expect(found(4_000)).toEqual([])
    expect(found(14_000)).toEqual(KILL)
  })
})
