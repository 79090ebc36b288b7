/**
 * Which nodes may take a free lead, and in which order. Every node ranks all candidates alike and waits for its turn:
 * the first acts at once, each following one `staggerMs` later. The rank saves time and noise; the store's
 * compare-and-swap makes sure that there is one winner, so two nodes with different views can disagree without harm.
 */
import type { NodeName, ServiceSpec } from './model.ts'
import { place } from './placement.ts'
import type { Vacancy } from './records.ts'
import { instanceOn, isDrained, isHealthy, isStopping, nodeState, recordOf, type View } from './view.ts'

export interface Candidate {
  readonly node: NodeName
  readonly able: boolean
  /** In words: why the node cannot take the lead, or its rank. */
  readonly why: string
  /** How long until it could; 0 when it can now. */
  readonly inMs: number
}

/** Every node that the service may use: those who can take over first, best first. */
export function candidatesFor(view: View, service: ServiceSpec): Candidate[] {
  const order = place({ ...service, instances: view.cluster.nodes.length }, view.cluster.nodes)
  const ranked = order.map((node, index) => ({ candidate: judge(view, service, node), index, node }))
  ranked.sort((a, b) => preference(view, service, b) - preference(view, service, a) || a.index - b.index)
  return ranked.map(({ candidate }) => candidate)
}

/** The best node other than `than` that could lead now. */
export function bestOther(view: View, service: ServiceSpec, than: NodeName): NodeName | undefined {
  const candidates = candidatesFor(view, service).filter(({ able, inMs, node }) => able && inMs === 0 && node !== than)
  return candidates.find(({ node }) => nodeState(view, node) === 'alive')?.node
}

/** How long this node lets better candidates go first; undefined while it cannot take the lead at all. */
export function turnInMs(view: View, service: ServiceSpec): number | undefined {
  const able = candidatesFor(view, service).filter((candidate) => candidate.able)
  const rank = able.findIndex((candidate) => candidate.node === view.self)
  return able[rank]?.inMs === 0 ? rank * view.cluster.timing.staggerMs : undefined
}

/** An operator stopped the service or the whole cluster: no fault of the node that led, which leads again at the next start. */
export function endedInOrder(vacancy: Vacancy | undefined): boolean {
  return vacancy?.rule === 'cluster-stopped' || vacancy?.rule === 'service-stopped'
}

function judge(view: View, service: ServiceSpec, node: NodeName): Candidate {
  const no = (why: string): Candidate => ({ node, able: false, why, inMs: 0 })
  if (isDrained(view, node)) return no('it is drained')
  if (isStopping(view, node)) return no('it is being stopped')
  const state = nodeState(view, node)
  if (state === 'unknown') return { node, able: true, why: 'it has not been heard of yet', inMs: 0 }
  if (state !== 'alive') return no(`it is ${state}: silent for ${Math.round(view.peers[node]?.heardAgoMs ?? 0)} ms`)
  const instance = instanceOn(view, node, service.name)
  if (instance?.hung) return no(`its instance hangs: ${instance.note}`)
  const retryInMs = instance?.retryInMs ?? 0
  if (retryInMs > 0)
    return { node, able: true, why: `backs off for ${Math.round(retryInMs)} ms: ${instance?.note}`, inMs: retryInMs }
  if (service.standby === 'warm' && !isHealthy(instance))
    return { node, able: true, why: 'its standby is not ready', inMs: 0 }
  return { node, able: true, why: service.standby === 'warm' ? 'its standby is ready' : 'it can start one', inMs: 0 }
}

/** Higher is better. Digits, most significant first: chosen successor, no back-off, ready standby, what it did as the last primary. */
function preference(view: View, service: ServiceSpec, of: { candidate: Candidate; node: NodeName }): number {
  const { vacancy, primary } = recordOf(view, service.name)
  const instance = instanceOn(view, of.node, service.name)
  const ready = service.standby === 'cold' || isHealthy(instance)
  const isNeutral = primary !== of.node || vacancy === undefined
  const lately = isNeutral ? 1 : endedInOrder(vacancy) ? 2 : 0
  return (
    Number(of.candidate.able) * 32 +
    Number(vacancy?.successor === of.node) * 16 +
    Number(of.candidate.inMs === 0) * 8 +
    Number(ready) * 4 +
    lately
  )
}
