/** The invariants as a live agent sees them: an alarm when a fact has stood, none while reports may only be late. */
import { describe, expect, it } from 'vitest'
import { cluster, led, type MadeUp, peer, running, view, web, worker } from '../../../test/made-up.ts'
import { promiseBroken, zoneCrowded } from './alarms.ts'

const stands = { role: 'primary', stateForMs: 60_000 } as const
const spec = cluster([worker()])
const leadOfB = led('worker', 'b', 4)
const forLong = { ...leadOfB, recordForMs: { worker: 60_000 } }

const told = (given: Partial<MadeUp>) => promiseBroken(view({ cluster: spec, ...given })).map(({ why }) => why)

describe('promise-broken', () => {
  const here = { instances: { worker: running('worker', { ...stands, term: 3 }) } }
  const there = { b: peer('b', [running('worker', { ...stands, term: 4 })]) }

  it('is told when two lead for a while', () => {
    expect(told({ store: forLong, peers: there, local: here })).toEqual([
      'worker has 2 primaries: a (term 3), b (term 4)',
    ])
  })

  it('is not told of a moment, nor of what a silent node said last', () => {
    expect(told({ store: { ...leadOfB, recordForMs: { worker: 10 } }, peers: there, local: here })).toEqual([])
    const young = { b: peer('b', [running('worker', { ...stands, stateForMs: 10, term: 4 })]) }
    expect(told({ store: forLong, peers: young, local: here })).toEqual([])
    const silent = { b: peer('b', [running('worker', { ...stands, term: 4 })], { state: 'condemned' }) }
    expect(told({ store: forLong, peers: silent, local: here })).toEqual([])
  })

  it('is told of a term that the store never gave, as after a restore of an old store', () => {
    const newer = { instances: { worker: running('worker', { ...stands, term: 9 }) } }
    expect(told({ store: forLong, local: newer })).toEqual(['worker on a is primary in term 9, the store knows 4'])
  })

  it('is raised for a database that admits clients under a term that is over', () => {
    const db = worker({
      name: 'db',
      traits: { singleWriter: false, replicates: true, reportsPosition: true, canRewind: true },
    })
    const quorum = { term: 5, primary: 'b', standbys: ['a'], k: 1, id: '5-b' }
    const record = {
      term: 5,
      primary: 'b',
      replica: { phase: 'serving', by: 'b', quorumConfigs: [quorum] },
      revision: 9,
    } as const
    const replica = {
      pledged: 4,
      recruited: false,
      position: null,
      replayLagBytes: 0,
      quorum: null,
      quorumDurable: true,
      streaming: [],
      receivingFrom: null,
      quarantined: false,
      diverged: false,
    }
    const local = { instances: { db: running('db', { ...stands, term: 4, replica }) } }
    const store = { services: { db: record }, recordForMs: { db: 60_000 } }
    expect(told({ cluster: cluster([db]), store, local })).toEqual([
      'db on a acknowledges in term 4, and term 5 is led already',
    ])
  })
})

describe('zone-crowded', () => {
  it('is said when nodes are away and two instances share a zone, and not otherwise', () => {
    const zones = cluster([web({ instances: 2 })], ['a:north', 'b:north', 'c:south'])
    const all = { b: peer('b', []), c: peer('c', []) }
    expect(zoneCrowded(view({ cluster: zones, peers: all }))).toEqual([])
    const away = { ...all, c: peer('c', [], { state: 'lost' }) }
    expect(zoneCrowded(view({ cluster: zones, peers: away }))).toMatchObject([{ rule: 'zone-crowded', steps: [] }])
  })

  it('is not said of a zone in which the service may use no node, nor of one that has another node to offer', () => {
    const spread = ['a:north', 'b:south', 'c:south', 'd:north']
    const peers = { b: peer('b'), c: peer('c', [], { state: 'lost' }), d: peer('d') }
    expect(zoneCrowded(view({ cluster: cluster([web({ instances: 2 })], spread), peers }))).toEqual([])
    const northOnly = cluster([web({ instances: 2, nodes: ['a', 'd'] })], ['a:north', 'b:south', 'c:south', 'd:north'])
    const southLost = { ...peers, b: peer('b', [], { state: 'lost' }) }
    expect(zoneCrowded(view({ cluster: northOnly, peers: southLost }))).toEqual([])
    const anywhere = cluster([web({ instances: 2 })], spread)
    expect(zoneCrowded(view({ cluster: anywhere, peers: southLost }))).toMatchObject([{ rule: 'zone-crowded' }])
  })
})
