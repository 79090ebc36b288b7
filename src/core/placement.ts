/**
 * Where instances belong: computed, not scheduled. Every node computes the same answer from the same facts, so no
 * scheduler has to distribute it or can be lost.
 *
 * Rendezvous hashing (Thaler and Ravishankar, 1998): each node has a score for each service and the highest scores win.
 * The loss of a node moves only what was on it. Zones come first: no zone gets a second instance while another has
 * none, because a zone fails as a whole. Nodes in `keep` stay, the first of them before all others: moving a primary
 * costs more than an ideal spread.
 */
import type { NodeName, NodeSpec, ServiceSpec } from './model.ts'
import { isDrained, isStopping, nodeState, recordOf, type View } from './view.ts'

export function place(service: ServiceSpec, nodes: readonly NodeSpec[], keep: readonly NodeName[] = []): NodeName[] {
  const chosen: NodeSpec[] = []
  const left: Scored[] = []
  for (const node of nodes) if (mayUse(service, node.name)) left.push({ node, score: scoreOf(service.name, node.name) })
  while (chosen.length < service.instances && left.length > 0) {
    const best = left.reduce((a, b) => (isBetter(chosen, keep, b, a) ? b : a))
    left.splice(left.indexOf(best), 1)
    chosen.push(best.node)
  }
  return chosen.map((node) => node.name)
}

/** Does the config allow this service on this node? */
export function mayUse(service: ServiceSpec, node: NodeName): boolean {
  return service.nodes.length === 0 || service.nodes.includes(node)
}

interface Scored {
  readonly node: NodeSpec
  readonly score: number
}

function isBetter(chosen: readonly NodeSpec[], keep: readonly NodeName[], a: Scored, b: Scored): boolean {
  const kept = weight(keep, a.node) - weight(keep, b.node)
  if (kept !== 0) return kept > 0
  const crowded = inZone(chosen, a.node) - inZone(chosen, b.node)
  if (crowded !== 0) return crowded < 0
  const score = a.score - b.score
  return score !== 0 ? score > 0 : a.node.name < b.node.name
}

/** The leader's place is the last to go, the others' are worth the same. */
function weight(keep: readonly NodeName[], { name }: NodeSpec): number {
  const at = keep.indexOf(name)
  return at === 0 ? 2 : Number(at > 0)
}

function inZone(nodes: readonly NodeSpec[], like: NodeSpec): number {
  let count = 0
  for (const node of nodes) if (node.region === like.region && node.zone === like.zone) count += 1
  return count
}

/** Scores never change, and each is asked for several times in a turn. There are as many as pairs of names. */
const scores = new Map<string, Map<string, number>>()

/** The same for the same two names on every machine. */
export function scoreOf(service: string, node: string): number {
  const known = scores.get(service) ?? new Map<string, number>()
  const score = known.get(node) ?? hashOf(service, node)
  scores.set(service, known.set(node, score))
  return score
}

/** FNV-1a over both names with murmur3's finisher: 32 well-mixed bits. */
function hashOf(service: string, node: string): number {
  let hash = 0x811c9dc5
  for (const char of `${service}\n${node}`) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** The nodes that should have an instance now, best first. A silent node stays until it is lost: agents may restart. */
export function placedOn(view: View, service: ServiceSpec): NodeName[] {
  const usable = view.cluster.nodes.filter(
    (node) => nodeState(view, node.name) !== 'lost' && !isDrained(view, node.name) && !isStopping(view, node.name),
  )
  const { primary } = recordOf(view, service.name)
  return place(service, usable, primary === null ? [] : [primary])
}
