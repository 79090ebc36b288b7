import { expect, it } from 'vitest'
import { cluster, peer, view, web } from '../../test/made-up.ts'
import { commonProtocol, everyNodeSpeaks } from './common-protocol.ts'
import { PROTOCOL } from './protocol.ts'
import type { PeerFacts } from './view.ts'

function spoken(node: string, protocol: number | undefined, given: Partial<PeerFacts> = {}): PeerFacts {
  const { report } = peer(node)
  return { ...peer(node), report: report && { ...report, ...(protocol !== undefined && { protocol }) }, ...given }
}

const seen = (b: PeerFacts, c: PeerFacts) => view({ cluster: cluster([web()]), peers: { b, c } })

it('a new form is written only when every node is known to read it', () => {
  const all = seen(spoken('b', PROTOCOL), spoken('c', PROTOCOL))
  expect([commonProtocol(all), everyNodeSpeaks(all, PROTOCOL)]).toEqual([PROTOCOL, true])
  const laterNode = seen(spoken('b', PROTOCOL + 1), spoken('c', PROTOCOL))
  expect(commonProtocol(laterNode), 'this node does not speak what it does not know').toBe(PROTOCOL)
  expect(everyNodeSpeaks(laterNode, PROTOCOL + 1)).toBe(false)
})

it.each<[string, PeerFacts]>([
  ['reports no protocol', spoken('c', undefined)],
  ['has not been heard', spoken('c', PROTOCOL, { state: 'unknown', report: null })],
  ['is lost and was of the version before', spoken('c', PROTOCOL - 1, { state: 'lost' })],
])('a node that %s keeps the others to the forms of the version before', (_, c) => {
  expect(everyNodeSpeaks(seen(spoken('b', PROTOCOL), c), PROTOCOL)).toBe(false)
})
