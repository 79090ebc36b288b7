/** What a restart would change, and in which order primaries and standbys have to be restarted for it. */
import { describe, expect, test } from 'vitest'
import { type NextStart, outdatedServer, type ServerNow } from './outdated-server.ts'
import type { StartedAs } from './started-as.ts'

const BIN = '/usr/lib/postgresql/15/bin'
const capacity = {
  max_connections: 100,
  max_worker_processes: 8,
  max_wal_senders: 16,
  max_prepared_transactions: 0,
  max_locks_per_transaction: 64,
  max_replication_slots: 16,
}
const now: ServerNow = { release: '15.17', capacity, pending: [], port: 20_001 }
const started: StartedAs = { restarts: 1, release: '15.17', bin: BIN, data: '/data', settings: ['shared_buffers'] }
const next: NextStart = {
  restarts: 1,
  release: '15.17',
  bin: null,
  port: null,
  settings: new Map(),
  ours: ['max_connections', 'port'],
  altered: [],
  configured: capacity,
  least: {},
}

const primary = (change: Partial<NextStart>, said: Partial<ServerNow> = {}) =>
  outdatedServer({ ...now, ...said }, started, { ...next, ...change }, true)
const standby = (change: Partial<NextStart>, said: Partial<ServerNow> = {}) =>
  outdatedServer({ ...now, ...said }, started, { ...next, ...change }, false)

test('a server that would be started as it runs is not outdated', () => {
  expect(primary({})).toBeUndefined()
  expect(standby({})).toBeUndefined()
})

describe('settings that standbys need at least as much of as their primary', () => {
  test('raised: standbys and primary are restarted, and the primary is switched over', () => {
    const configured = { ...capacity, max_connections: 150 }
    const why = 'max_connections needs a restart (100 → 150)'
    expect(primary({ configured })).toEqual({ why, needs: 'restart' })
    expect(standby({ configured, least: capacity })).toEqual({ why, needs: 'restart' })
  })

  test('lowered: the primary is restarted in place, and a standby not before its primary has the lower value', () => {
    const configured = { ...capacity, max_connections: 50 }
    expect(primary({ configured })).toEqual({ why: 'max_connections needs a restart (100 → 50)', needs: 'in-place' })
    expect(standby({ configured, least: capacity })).toBeUndefined()
    const lowered = { ...capacity, max_connections: 70 }
    const why = 'max_connections needs a restart (100 → 70)'
    expect(standby({ configured, least: lowered })).toEqual({ why, needs: 'restart' })
  })

  test('one raised and one lowered: standbys are restarted for the raised one, the primary in place for both', () => {
    const configured = { ...capacity, max_connections: 50, max_wal_senders: 20 }
    expect(standby({ configured, least: capacity })).toEqual({
      why: 'max_wal_senders needs a restart (16 → 20)',
      needs: 'restart',
    })
    expect(primary({ configured })).toEqual({
      why: 'max_connections (100 → 50) and max_wal_senders (16 → 20) need a restart',
      needs: 'in-place',
    })
  })

  test('a standby that has less than its primary already is not restarted as outdated: it is unfit', () => {
    expect(standby({ least: { ...capacity, max_connections: 300 } })).toBeUndefined()
  })

  test('slots that are there keep their room, so a restart would change nothing', () => {
    const said = { capacity: { ...capacity, max_replication_slots: 20 } }
    expect(primary({ least: { max_replication_slots: 20 } }, said)).toBeUndefined()
    expect(primary({ least: {} }, said)?.needs).toBe('restart')
  })
})

describe('other settings, as the server itself says', () => {
  const pending = [{ name: 'shared_buffers', value: '128MB' }]

  test('one of the config needs a restart', () => {
    const settings = new Map([['shared_buffers', '256MB']])
    const why = 'shared_buffers needs a restart (128MB → 256MB)'
    expect(primary({ settings, ours: ['shared_buffers'] }, { pending })).toEqual({ why, needs: 'restart' })
  })

  test('one that the config does not set any more goes back to its default', () => {
    expect(standby({}, { pending })?.why).toBe('shared_buffers needs a restart (128MB → the default)')
  })

  test('what an operator set with ALTER SYSTEM is left to the operator', () => {
    expect(primary({ altered: ['shared_buffers'] }, { pending })).toBeUndefined()
    expect(primary({}, { pending: [{ name: 'huge_pages', value: 'try' }] })).toBeUndefined()
    const configured = { ...capacity, max_connections: 150 }
    expect(primary({ altered: ['max_connections'], configured })).toBeUndefined()
  })
})

describe('programs, port and a restart that was asked for', () => {
  test('a restart that was asked for after the start', () => {
    expect(primary({ restarts: 2 })).toEqual({ why: 'a restart was asked for', needs: 'restart' })
  })

  test('a server that an earlier version started is not outdated by what is not known of it', () => {
    expect(outdatedServer(now, undefined, { ...next, restarts: 2, bin: '/opt/pg' }, true)).toBeUndefined()
  })

  test('a minor upgrade of the programs', () => {
    expect(standby({ release: '15.18' })?.why).toBe('PostgreSQL 15.17 runs, and 15.18 is installed')
  })

  test('another major version is never restarted into', () => {
    expect(primary({ release: '17.2', bin: '/opt/pg17' })).toBeUndefined()
  })

  test('another folder of programs, and another port', () => {
    expect(primary({ bin: '/opt/pg', port: 5433 })?.why).toBe(
      `its port needs a restart (20001 → 5433); its programs are those of ${BIN}, and the config names /opt/pg`,
    )
  })
})
