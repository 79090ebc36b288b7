import { describe, expect, it } from 'vitest'
import { cluster, led, peer, running, stopped, view, web, worker } from '../../test/made-up.ts'
import { switchoverRefusal } from './switchover.ts'
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
      /leads already/,
    )
  })
})
