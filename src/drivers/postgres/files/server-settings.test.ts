import { describe, expect, test } from 'vitest'
import { POSTGRES_DEFAULTS, type PostgresOptions, postgresTraits } from '../options.ts'
import { hbaText } from './hba.ts'
import { conninfo, keyText, refusedSettings, settingsText, slotName } from './server-settings.ts'

const options: PostgresOptions = POSTGRES_DEFAULTS

function text(change: Partial<Parameters<typeof settingsText>[0]> = {}): string {
  const plain = {
    node: 'a',
    address: '127.0.0.1',
    port: 5432,
    version: 15,
    options,
    leading: null,
    lineage: [{ term: 1, id: 'p', after: 0 }],
    conninfo: '',
    writesWait: false,
    inPlace: true,
    hbaFile: '/data/understudy.hba.conf',
    sockets: '/run',
    confirming: [],
  }
  return settingsText({ ...plain, ...change })
}

describe('the settings file', () => {
  test('users come first and we win; what safety depends on is refused with a reason', () => {
    const settings = { work_mem: '8MB', fsync: false, Synchronous_Commit: 'off', wal_level: 'minimal' }
    const lines = text({ options: { ...options, settings } }).split('\n')
    expect(lines.indexOf('fsync = off')).toBeLessThan(lines.indexOf('fsync = on'))
    expect(lines).toContain("work_mem = '8MB'")
    const refused = refusedSettings(settings)
    expect(refused).toHaveLength(3)
    expect(refused[0]).toMatch(/fsync is set by Understudy: .*power cut/)
    expect(refused[1]).toMatch(/trap 12/)
    expect(refused[2]).toMatch(/wal_level must be/)
  })

  test('trap 26: nothing waits for a minute', () => {
    expect(text()).toContain("wal_receiver_timeout = '3000ms'")
    expect(text()).toContain("wal_sender_timeout = '3000ms'")
  })

  test('trap 23: the slot of a dead standby cannot fill the disk', () => {
    expect(text()).toContain("max_slot_wal_keep_size = '8192MB'")
    expect(slotName('a')).toBe('understudy_a')
    expect(slotName('Db-1')).toBe('understudy__44_b_2d_1')
  })

  test('a standby has no say in the quorum; a primary has the rule and says which promotion it is', () => {
    expect(text()).toContain("synchronous_standby_names = ''")
    const leading = { term: 3, primary: 'a', standbys: ['b', 'c'], k: 1, id: 'x' }
    const primary = text({ leading, lineage: [{ term: 7, id: "it's seven", after: 6 }] })
    expect(primary).toContain(`synchronous_standby_names = 'ANY 1 ("b", "c")'`)
    expect(primary).toContain("understudy.promotion = 'it''s seven'")
    expect(primary).toContain(`understudy.lineage = '[{"term":7,"id":"it''s seven","after":6}]'`)
    expect(primary).toContain('understudy.term = 3')
  })

  test('trap 2: the key fits one primary, also where its address has colons', () => {
    expect(keyText({ host: '::1', port: 5432 }, 'a:b\\c')).toBe('\\:\\:1:5432:*:understudy_replica:a\\:b\\\\c\n')
  })

  test('trap 4, 6: conninfo has a short timeout, the name of the node and no password', () => {
    const info = conninfo({ host: 'h', port: 1 }, "o'b", '/key', options.timing, false)
    expect(info).toContain("connect_timeout='2'")
    expect(info).toContain("application_name='o\\'b'")
    expect(info).not.toContain('secret')
  })
})

test('closed lets in our session and the replicas, and no one else; replicas always show a password', () => {
  const closed = hbaText('closed', true, { hba: ['host all all 10.0.0.0/8 trust'] })
  expect(closed).not.toContain('10.0.0.0')
  expect(closed).not.toMatch(/^host all all/m)
  expect(closed).toMatch(/replication understudy_replica all scram-sha-256/)
  const open = hbaText('open', false, { hba: ['host all all 10.0.0.0/8 trust'] })
  // The replicas' lines come before users' lines: a `trust` of theirs cannot let a receiver in without its key.
  expect(open.indexOf('understudy_replica all reject')).toBeLessThan(open.indexOf('10.0.0.0'))
})

test('a database that a quorum fences needs no lease', () => {
  expect(postgresTraits()).toEqual({
    singleWriter: false,
    replicates: true,
    reportsPosition: true,
    canRewind: true,
  })
})
