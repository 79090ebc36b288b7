import { describe, expect, it } from 'vitest'
import { cluster, copy, database, led, peer, running, stopped, view, web, worker } from '../../test/made-up.ts'
import { defaultSuccessor, switchoverRefusal, whyNobody } from './switchover-check.ts'
import type { PeerFacts } from './view.ts'

const WARM = worker({ standby: 'warm', instances: 3 })

function refusal(b: PeerFacts, drained: string[] = []) {
  const nodes = Object.fromEntries(drained.map((name) => [name, { drained: true }]))
  return switchoverRefusal(
    view({ cluster: cluster([WARM]), store: { ...led('worker', 'a', 3), nodes }, peers: { b } }),
    WARM,
    'b',
  )
}

const standby = (given = {}) => peer('b', [running('worker', { role: 'standby', ...given })])

describe('a switchover', () => {
  it('is not refused when the target is ready', () => {
    expect(refusal(standby())).toBeUndefined()
  })

  it('is refused to a target that is unhealthy, hung, not ready, backing off, drained, silent or unheard of, with the reason', () => {
    expect(refusal(standby({ health: 'unhealthy', note: 'GET /healthz: 503' }))).toMatch(
      /unhealthy: GET \/healthz: 503/,
    )
    expect(refusal(standby({ hung: true, health: 'unhealthy', note: 'stopped by a signal' }))).toMatch(/hangs/)
    expect(refusal(standby({ health: 'unknown' }))).toMatch(/not ready/)
    expect(refusal(peer('b', [stopped('worker', { failures: 3, retryInMs: 900, note: 'ended with code 1' })]))).toMatch(
      /backs off/,
    )
    expect(refusal(standby(), ['b'])).toMatch(/drained/)
    expect(refusal(peer('b', [], { state: 'suspect' }))).toMatch(/suspect/)
    expect(refusal(peer('b', [], { report: null }))).toMatch(/not reported/)
  })

  it('is refused where there is no lead, or nothing to move', () => {
    const active = web()
    expect(switchoverRefusal(view({ cluster: cluster([active]) }), active, 'b')).toMatch(/active-active/)
    expect(switchoverRefusal(view({ cluster: cluster([WARM]) }), WARM, 'b')).toMatch(/no primary/)
    expect(switchoverRefusal(view({ cluster: cluster([WARM]), store: led('worker', 'b', 3) }), WARM, 'b')).toMatch(
      /is primary already/,
    )
  })
})

describe('a switchover of a database', () => {
  const DB = database()
  const quorum = { term: 1, primary: 'a', standbys: ['b', 'c'], k: 1, id: 'one' }
  const BEHIND = 2_000_000
  const standby = (node: string, given = {}) =>
    peer(node, [running('db', { role: 'standby', replica: copy({ receivingFrom: 'a' }), ...given })])
  /** a leads; of the others it is known how many bytes they still have to receive. */
  const seen = (lag: Record<string, number>, peers = { b: standby('b'), c: standby('c') }) =>
    view({
      cluster: cluster([DB]),
      store: {
        services: {
          db: { term: 1, primary: 'a', replica: { phase: 'serving', by: 'a', quorumConfigs: [quorum] }, revision: 1 },
        },
      },
      local: {
        instances: {
          db: running('db', {
            role: 'primary',
            term: 1,
            replica: copy({
              quorum,
              quorumDurable: true,
              streaming: Object.entries(lag).map(([node, lagBytes]) => ({ node, lagBytes })),
            }),
          }),
        },
      },
      peers,
    })

  it('goes to who can lead now, else to who is behind and will be able soon', () => {
    expect(defaultSuccessor(seen({ b: BEHIND, c: 0 }), DB)).toBe('c')
    expect(defaultSuccessor(seen({ b: BEHIND, c: BEHIND }), DB)).toBe('b')
    expect(switchoverRefusal(seen({ b: BEHIND, c: 0 }), DB, 'b')).toBeUndefined()
  })

  it('is refused when waiting would not help, each node with its reason', () => {
    const unhealthy = { b: standby('b', { health: 'unhealthy' }), c: peer('c', [], { state: 'lost' }) }
    const now = seen({}, unhealthy)
    expect(defaultSuccessor(now, DB)).toBeUndefined()
    expect(whyNobody(now, DB, 'a')).toEqual(['the standby on b is not healthy', 'c is lost'])
  })

  it('is refused while there is no primary', () => {
    const now = seen({ b: 0, c: 0 })
    const absent = { ...now, local: { ...now.local, instances: {} } }
    expect(switchoverRefusal(absent, DB, 'b')).toMatch(/has no primary now/)
  })
})
