/** What a node believes of the others when it is itself late now and then. */
import { expect, test } from 'vitest'
import { cluster, peer, running, web } from '../../test/made-up.ts'
import { Peers } from './peers.ts'

test('a dead node stays lost while this node is late, and comes back with its first heartbeat', () => {
  const spec = cluster([web()])
  const peers = new Peers(spec, 'a', 0)
  const stateOf = (node: string, now: number) => peers.facts(now)[node]?.state
  let now = 0
  const pass = (untilMs: number, ownLagMs: number, withC: boolean) => {
    for (; now < untilMs; now += 100) {
      peers.beat('b', withC ? [] : ['c'], false, now)
      if (withC) peers.beat('c', [], false, now)
      peers.judge(now, now, ownLagMs)
    }
  }
  pass(2_000, 0, true)
  expect(stateOf('c', now)).toBe('alive')
  pass(2_000 + 2 * spec.timing.lostAfterMs, 0, false)
  expect(stateOf('c', now)).toBe('lost')
  pass(now + 500, 300, false) // its event loop was late: it abstains
  expect(stateOf('c', now)).toBe('lost')
  pass(now + 500, 0, true)
  expect(stateOf('c', now)).toBe('alive')
})

test('what was reported of a removed service is not taken for what a new one of its name says', () => {
  const peers = new Peers(cluster([web()]), 'a', 0)
  const said = (config: number) => ({ ...peer('b', [running('web'), running('db')]).report, config }) as never
  const heard = () => peers.facts(0).b?.report?.instances.map(({ service }) => service)
  peers.report('b', said(3), 0)
  expect(heard()).toEqual(['web', 'db'])
  peers.forget(['db'], 4)
  expect(heard()).toEqual(['web'])
  peers.forget([], 5) // gone, and perhaps named again: a report was under way for long
  peers.report('b', said(3), 0)
  expect(heard()).toEqual(['web'])
  peers.report('b', said(5), 0)
  expect(heard()).toEqual(['web', 'db'])
})
