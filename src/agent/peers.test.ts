/** What a node believes of the others when it is itself late now and then. */
import { expect, test } from 'vitest'
import { cluster, web } from '../../test/made-up.ts'
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
