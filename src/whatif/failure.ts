/**
 * What can fail by itself, as data: each failure has a name, as typed by an operator, and an effect on the cluster.
 * Failures that happen together are the union of their effects, so one, two or seven of them are asked about in the
 * same way.
 */
import type { ClusterSpec, NodeName, NodeSpec, ServiceName } from '../core/model.ts'

export interface Failure {
  readonly kind: 'instance' | 'node' | 'zone' | 'region' | 'link' | 'store' | 'voter' | 'balancer'
  /** As it is typed after `--kill`: `a`, `a.web`, `zone:north`, `link:north:south`, `store`, `a.store`, `a.balancer`. */
  readonly id: string
  /** As it is shown: `node a`, `web on a`. */
  readonly label: string
  readonly effect: Effect
}

/** Everything that is gone. Sorted and without repetition when it comes from `together`. */
export interface Effect {
  readonly nodes: readonly NodeName[]
  /** Processes that ended once; their agents may start them again. As `node service`. */
  readonly instances: readonly string[]
  /** Pairs of nodes that do not hear each other, as `a b`, the smaller name first. */
  readonly cuts: readonly string[]
  /** Members of the store that are gone while their node lives. */
  readonly voters: readonly NodeName[]
  /** The store as a whole is away. */
  readonly store: boolean
  /** Nodes whose balancer ended once. */
  readonly balancers: readonly NodeName[]
}

export const NOTHING: Effect = { nodes: [], instances: [], cuts: [], voters: [], store: false, balancers: [] }

export function together(failures: readonly Failure[]): Effect {
  const effects = failures.map(({ effect }) => effect)
  const all = <T extends string>(pick: (effect: Effect) => readonly T[]) => [...new Set(effects.flatMap(pick))].sort()
  return {
    nodes: all(({ nodes }) => nodes),
    instances: all(({ instances }) => instances),
    cuts: all(({ cuts }) => cuts),
    voters: all(({ voters }) => voters),
    store: effects.some(({ store }) => store),
    balancers: all(({ balancers }) => balancers),
  }
}

/** What of an effect some services can feel: what is not theirs, or is gone already with a node, is left out. */
export function feltBy(services: readonly ServiceName[], effect: Effect): Effect {
  const { nodes, instances, cuts, voters, store, balancers } = effect
  if (nodes.length === 0) {
    const own = instances.filter((one) => services.includes(one.slice(one.indexOf(' ') + 1)))
    return own.length === instances.length ? effect : { ...effect, instances: own }
  }
  const lives = (name: NodeName) => !nodes.includes(name)
  return {
    nodes,
    instances: instances.filter((one) => {
      const [node = '', service = ''] = one.split(' ')
      return lives(node) && services.includes(service)
    }),
    cuts: cuts.filter((cut) => cut.split(' ').every(lives)),
    voters: voters.filter(lives),
    store,
    balancers: balancers.filter(lives),
  }
}

export function keyOf({ nodes, instances, cuts, voters, store, balancers }: Effect): string {
  return [nodes, instances, cuts, voters, store ? 'store' : '', balancers].map(String).join('|')
}

/** A zone as it must be told from others of the same name elsewhere. */
export function zoneKey({ region, zone }: NodeSpec): string {
  return `${region}/${zone}`
}

/** The nodes of each zone, in the order of writing. */
export function zonesOf(nodes: readonly NodeSpec[]): ReadonlyMap<string, readonly NodeSpec[]> {
  return grouped(nodes, zoneKey)
}

export function regionsOf(nodes: readonly NodeSpec[]): ReadonlyMap<string, readonly NodeSpec[]> {
  return grouped(nodes, ({ region }) => region)
}

/** Where instances stand when nothing is wrong: which instances can fail at all. */
export type Standing = ReadonlyMap<ServiceName, readonly NodeName[]>

/**
 * Every single failure of a cluster. A zone of one node is that node, and a region that is the only one is everything:
 * neither is listed again. `voters`: the members of the store; null when it is one file on one machine.
 */
export function everyFailure(
  cluster: ClusterSpec,
  standing: Standing,
  voters: readonly NodeName[] | null,
): readonly Failure[] {
  const regions = regionsOf(cluster.nodes)
  const zones = zonesOf(cluster.nodes)
  const instances = cluster.services.flatMap(({ name }) =>
    (standing.get(name) ?? []).map((node) => instanceFailure(node, name)),
  )
  const several = [...zones.values()].filter((nodes) => nodes.length > 1)
  return [
    ...cluster.nodes.map(({ name }) => nodeFailure(name)),
    ...several.map((nodes) => groupFailure('zone', shortZone(cluster, nodes), nodes)),
    ...(regions.size > 1 ? [...regions].map(([region, nodes]) => groupFailure('region', region, nodes)) : []),
    ...everyLink(cluster, zones),
    ...(voters === null ? [storeFailure()] : voters.map(voterFailure)),
    ...instances,
    ...(cluster.services.some(({ endpoints }) => endpoints.length > 0)
      ? cluster.nodes.map(({ name }) => balancerFailure(name))
      : []),
  ]
}

export function nodeFailure(node: NodeName): Failure {
  return { kind: 'node', id: node, label: `node ${node}`, effect: { ...NOTHING, nodes: [node] } }
}

export function instanceFailure(node: NodeName, service: ServiceName): Failure {
  const effect = { ...NOTHING, instances: [`${node} ${service}`] }
  return { kind: 'instance', id: `${node}.${service}`, label: `${service} on ${node}`, effect }
}

export function groupFailure(kind: 'zone' | 'region', name: string, nodes: readonly NodeSpec[]): Failure {
  const effect = { ...NOTHING, nodes: nodes.map((node) => node.name).sort() }
  return { kind, id: `${kind}:${name}`, label: `${kind} ${name}`, effect }
}

export function balancerFailure(node: NodeName): Failure {
  return {
    kind: 'balancer',
    id: `${node}.balancer`,
    label: `balancer of ${node}`,
    effect: { ...NOTHING, balancers: [node] },
  }
}

export function storeFailure(): Failure {
  return { kind: 'store', id: 'store', label: 'store', effect: { ...NOTHING, store: true } }
}

export function voterFailure(node: NodeName): Failure {
  return { kind: 'voter', id: `${node}.store`, label: `store on ${node}`, effect: { ...NOTHING, voters: [node] } }
}

export function linkFailure(cluster: ClusterSpec, one: readonly NodeSpec[], other: readonly NodeSpec[]): Failure {
  const cuts = one.flatMap((a) => other.map((b) => [a.name, b.name].sort().join(' '))).sort()
  const [from, to] = [shortZone(cluster, one), shortZone(cluster, other)]
  return { kind: 'link', id: `link:${from}:${to}`, label: `link ${from}–${to}`, effect: { ...NOTHING, cuts } }
}

function everyLink(cluster: ClusterSpec, zones: ReadonlyMap<string, readonly NodeSpec[]>): Failure[] {
  const list = [...zones.values()]
  return list.flatMap((one, index) => list.slice(index + 1).map((other) => linkFailure(cluster, one, other)))
}

/** `north`, or `eu/north` when another region has a zone of that name. */
export function shortZone(cluster: ClusterSpec, [first]: readonly NodeSpec[]): string {
  if (!first) return ''
  const isShared = cluster.nodes.some(({ zone, region }) => zone === first.zone && region !== first.region)
  return isShared ? zoneKey(first) : first.zone
}

function grouped(nodes: readonly NodeSpec[], key: (node: NodeSpec) => string): Map<string, NodeSpec[]> {
  const groups = new Map<string, NodeSpec[]>()
  for (const node of nodes) groups.set(key(node), [...(groups.get(key(node)) ?? []), node])
  return groups
}
