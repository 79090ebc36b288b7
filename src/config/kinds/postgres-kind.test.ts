import { describe, expect, test } from 'vitest'
import { compileCluster } from '../compile.ts'
import { InvalidConfig } from '../complaint.ts'
import { defineCluster, postgres } from '../define.ts'

const nodes = { a: {}, b: {}, c: {} }

function compiled(options: object) {
  const db = postgres({ instances: 3, listen: 5432, ...options })
  return compileCluster(defineCluster({ name: 'shop', nodes, services: { db } }), { isLocal: () => true })
}

function complaints(options: object): string[] {
  try {
    compiled(options)
    return []
  } catch (error) {
    if (!(error instanceof InvalidConfig)) throw error
    return error.complaints.map(({ path, problem }) => `${path} ${problem}`)
  }
}

describe('a data folder that two instances would take for their own', () => {
  const refused = (options: object, realPath = (path: string): string | undefined => path, more: object = {}) => {
    const db = postgres({ instances: 3, listen: 5432, ...options })
    try {
      compileCluster(defineCluster({ name: 'shop', nodes, services: { db, ...more } }), {
        isLocal: () => true,
        realPath,
      })
      return []
    } catch (error) {
      if (!(error instanceof InvalidConfig)) throw error
      return error.complaints.map(({ path, problem }) => `${path} ${problem}`)
    }
  }

  test('is refused: one folder for three nodes of one machine, adopted or not', () => {
    const complaint = 'services.db.data is /srv/db on b, which is the folder of the instance of db on a as well'
    expect(refused({ data: '/srv/db', adopt: true })).toEqual([complaint])
    expect(refused({ data: '/srv/db' })).toEqual([complaint])
    expect(refused({ data: '/srv/db/{node}', adopt: true })).toEqual([])
  })

  test('is not refused where one node alone may use it, or each node is a machine of its own', () => {
    expect(refused({ data: '/srv/db', nodes: ['a'], instances: 1 })).toEqual([])
    const far = { a: { address: '10.0.0.1' }, b: { address: '10.0.0.2' }, c: { address: '10.0.0.3' } }
    const db = postgres({ instances: 3, listen: 5432, data: '/srv/db' })
    const raw = defineCluster({ name: 'shop', nodes: far, services: { db } })
    expect(() => compileCluster(raw, { isLocal: () => false, realPath: (path) => path })).not.toThrow()
  })

  test('is refused through links, also where the last part is not there yet', () => {
    const linked = (path: string) => (path === '/srv/b' ? '/srv/a' : path === '/srv/c/db' ? undefined : path)
    expect(refused({ data: '/srv/{node}' }, linked)).toEqual([
      'services.db.data is /srv/a on b, which is the folder of the instance of db on a as well',
    ])
    const parents = (path: string) =>
      /^\/srv\/[abc]$/.test(path) ? '/disk' : path.startsWith('/srv/') ? undefined : path
    expect(refused({ data: '/srv/{node}/db' }, parents)).toEqual([
      'services.db.data is /disk/db on b, which is the folder of the instance of db on a as well',
    ])
  })

  test('is refused between two services, and one within the other', () => {
    const of = (data: string) => ({ shelf: postgres({ instances: 3, listen: 5434, data }) })
    expect(refused({ data: '/srv/{node}' }, undefined, of('/srv/{node}'))[0]).toContain(
      'services.shelf.data is /srv/a on a',
    )
    expect(refused({ data: '/srv/{node}' }, undefined, of('/srv/{node}/shelf'))[0]).toContain('lies within /srv/a')
    expect(refused({ data: '/srv/{node}/db' }, undefined, of('/srv/{node}'))[0]).toContain('holds /srv/a/db')
    expect(refused({ data: '/srv/{node}/db' }, undefined, of('/srv/{node}/shelf'))).toEqual([])
  })
})

describe('postgres()', () => {
  test('is a replicated service whose quorum is half of the instances', () => {
    const [db] = compiled({ listenStandby: 5433 }).spec.services
    expect(db).toMatchObject({
      kind: 'postgres',
      redundancy: 'active-passive',
      standby: 'warm',
      traits: { singleWriter: false, replicates: true },
      replication: { k: 1, degrade: 'block', maxLagBytes: 16_777_216 },
      timing: { holdMs: 20_000 },
      endpoints: [
        { purpose: 'primary', protocol: 'postgres', port: 5432 },
        { purpose: 'standby', protocol: 'postgres', port: 5433 },
      ],
    })
  })

  test('holds for 20 s, unless the service or the cluster says otherwise', () => {
    const holdOf = (options: object, timing = {}) => {
      const db = postgres({ instances: 3, listen: 5432, ...options })
      const raw = defineCluster({ name: 'shop', nodes, services: { db }, timing })
      return compileCluster(raw, { isLocal: () => true }).spec.services[0]?.timing.holdMs
    }
    expect([holdOf({}), holdOf({ hold: '9s' }), holdOf({}, { hold: '7s' })]).toEqual([20_000, 9_000, 7_000])
  })

  test('hands its driver megabytes, absolute folders and the first database', () => {
    const database = { name: 'shop', owner: 'shop', password: 'first' }
    const [db] = compiled({ limits: { heldLog: '1GiB' }, data: '/srv/pg/{node}', bin: 'npm', database }).spec.services
    expect(db?.options).toMatchObject({
      bin: 'npm',
      data: '/srv/pg/{node}',
      limits: { slotKeepMb: 1024, walKeepMb: 512 },
    })
    expect(db?.options.bootstrap).toMatchObject({ database: 'shop', owner: 'shop', password: 'first' })
    expect(JSON.stringify(db)).not.toContain('replicationPassword')
  })

  test('a certificate is the own one of each node, two files, or none', () => {
    const tlsOf = (options: object) => compiled(options).spec.services[0]?.options.tls
    expect(tlsOf({})).toBe('own')
    expect(tlsOf({ tls: false })).toBe('none')
    expect(tlsOf({ tls: { cert: '/etc/db.crt', key: '/etc/db.key' } })).toEqual({
      cert: '/etc/db.crt',
      key: '/etc/db.key',
    })
    for (const wrong of [true, {}, { cert: '/etc/db.crt' }, 'own'])
      expect(complaints({ tls: wrong })[0], JSON.stringify(wrong)).toContain('services.db.tls')
  })

  test('with two copies it must be said what happens when one is lost', () => {
    expect(complaints({ instances: 2 })).toEqual([
      'services.db.degrade must say what happens when one of the two replicas is lost',
    ])
    expect(complaints({ instances: 2, degrade: 'run-alone' })).toEqual([])
  })

  test('more confirmations than standbys cannot be had', () => {
    expect(complaints({ sync: 3 })).toEqual(['services.db.sync is 3, and there are 2 standbys'])
  })

  test('settings that safety depends on are refused, with the reason', () => {
    const [complaint] = complaints({ settings: { fsync: false, work_mem: '8MB' } })
    expect(complaint).toContain('fsync is set by Understudy')
  })

  test('the two endpoints need two ports', () => {
    expect(complaints({ listenStandby: 5432 })[0]).toContain('services.db.listenStandby is 5432')
  })
})
