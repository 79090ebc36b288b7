/**
 * Which nodes hear each other, and which reach the store, once something has failed. Links are direct: no node relays.
 * What silence leads to is judged by core/suspicion.ts, as in agent/peers.ts: a node is condemned when more than half
 * of the observers that a node can hear, itself included, call it silent.
 */
import type { NodeName } from '../core/model.ts'
import { isCondemned } from '../core/suspicion.ts'
import type { PeerFacts } from '../core/view.ts'
import type { Effect } from './failure.ts'
import type { Setting } from './question.ts'

export interface Hearing {
  lives(node: NodeName): boolean
  hears(a: NodeName, b: NodeName): boolean
  reachesStore(node: NodeName): boolean
  /** Is there a store that any node could reach? */
  readonly storeAnswers: boolean
  /** What `node` says of `peer` this long after the failure. */
  stateOf(node: NodeName, peer: NodeName, ageMs: number): PeerFacts['state']
  readonly suspectAfterMs: number
  readonly lostAfterMs: number
}

export function hearingAfter(setting: Setting, effect: Effect): Hearing {
  const { cluster } = setting
  const { heartbeatMs, suspectFloorMs } = cluster.timing
  const dead = new Set(effect.nodes)
  const cuts = new Set(effect.cuts)
  const lives = (node: NodeName) => !dead.has(node)
  const hears = (a: NodeName, b: NodeName) =>
    a === b || (lives(a) && lives(b) && (cuts.size === 0 || !cuts.has(a < b ? `${a} ${b}` : `${b} ${a}`)))
  const living = cluster.nodes.map(({ name }) => name).filter(lives)
  const quorum = storeQuorum(setting, effect, hears)
  // The last heartbeat came just before the failure; a heartbeat's time later the others have said so, too.
  const suspectAfterMs = suspectFloorMs + heartbeatMs
  const lostAfterMs = suspectAfterMs + cluster.timing.lostAfterMs
  const verdicts = new Map<string, boolean>()
  const isCondemnedBy = (node: NodeName, peer: NodeName) => {
    const known = verdicts.get(`${node} ${peer}`)
    if (known !== undefined) return known
    const observers = living.filter((other) => other !== peer && hears(node, other))
    const verdict = isCondemned(observers.map((observer) => !hears(observer, peer)))
    verdicts.set(`${node} ${peer}`, verdict)
    return verdict
  }
  return {
    lives,
    hears,
    reachesStore: (node) =>
      quorum === 'all' ? lives(node) : lives(node) && quorum.some((voter) => hears(node, voter)),
    storeAnswers: quorum === 'all' || quorum.length > 0,
    stateOf: (node, peer, ageMs) => {
      if (hears(node, peer) || ageMs < suspectAfterMs) return 'alive'
      if (!isCondemnedBy(node, peer)) return 'suspect'
      return ageMs >= lostAfterMs ? 'lost' : 'condemned'
    },
    suspectAfterMs,
    lostAfterMs,
  }
}

/**
 * The members of the store that can agree: those that hear a member which hears a majority. `all`: one store, on the machine
 * that holds every node. Empty: the store is away.
 */
function storeQuorum(
  { voters }: Setting,
  effect: Effect,
  hears: (a: NodeName, b: NodeName) => boolean,
): readonly NodeName[] | 'all' {
  if (effect.store) return []
  if (voters === null) return 'all'
  const up = voters.filter((voter) => !effect.voters.includes(voter) && !effect.nodes.includes(voter))
  const groups = up.map((one) => up.filter((other) => hears(one, other)))
  const largest = groups.reduce((a, b) => (b.length > a.length ? b : a), [])
  return largest.length > voters.length / 2 ? largest : []
}
