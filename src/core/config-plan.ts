/**
 * What a change of the config comes to, before it is made: for each service and each node what changes and how, and what is refused
 * (config-refusals.ts). Pure: the CLI asks it with what the status says, an agent with its view.
 *
 * A plan says what the agents will do when nothing fails meanwhile. It does not steer them: they decide each step by what they see
 * then.
 */
import { type ConfigChange, changeText, differences, isSame } from './config-changes.ts'
import type { ClusterSpec, NodeName, NodeSpec, ServiceName, ServiceSpec } from './model.ts'
import type { ChangeOfOptions, OptionsChange } from './options-change.ts'
import { mayUse, place } from './placement.ts'

/** What runs now, as far as it is known. */
export interface RunningFacts {
  readonly services: Readonly<Record<ServiceName, RunningService>>
  /** Nodes that are heard. */
  readonly alive: readonly NodeName[]
  /** On their way out of the cluster by a change before this one. */
  readonly leaving: readonly NodeSpec[]
}

export interface RunningService {
  /** Nodes on which an instance runs. */
  readonly nodes: readonly NodeName[]
  readonly primary: NodeName | null
  /** How many instances are wanted: the config's number, or what was asked for since. */
  readonly wanted: number
  /** Of a database: the nodes that hold its data, the primary first, and how many standbys have each write. */
  readonly replicas?: { readonly nodes: readonly NodeName[]; readonly k: number }
}

export interface ConfigPlan {
  readonly nodes: readonly { readonly node: NodeName; readonly change: 'new' | 'removed' }[]
  /** Every service of either config, those that do not change included. */
  readonly services: readonly ServicePlan[]
  /** Of the cluster as a whole, such as its timing. */
  readonly cluster: readonly string[]
}

export interface ServicePlan {
  readonly service: ServiceName
  /**
   * `reload`: taken without a restart. `reload-or-restart`: the server decides. `restart`: in turns, a primary by a switchover.
   * `instances`: only where it runs.
   */
  readonly change: 'nothing' | 'reload' | 'reload-or-restart' | 'instances' | 'restart' | 'new' | 'removed'
  /** What differs, without values that may be secret. */
  readonly what: readonly string[]
  readonly instances: readonly InstancePlan[]
}

export interface InstancePlan {
  readonly node: NodeName
  /** `switchover-restart`: the primary moves to another node first. `moves`: ends here and begins on `to`. */
  readonly change:
    | 'nothing'
    | 'reload'
    | 'reload-or-restart'
    | 'restart'
    | 'switchover-restart'
    | 'new'
    | 'ends'
    | 'moves'
  readonly to?: NodeName
}

/** Both as plain JSON. */
export function planChange(
  before: ClusterSpec,
  after: ClusterSpec,
  running: RunningFacts,
  changeOf: ChangeOfOptions,
): ConfigPlan {
  const old = new Map(before.services.map((service) => [service.name, service]))
  const present = after.services.map((service) => {
    const was = old.get(service.name)
    return was ? changed({ was, now: service, before, after, running, changeOf }) : added(service, after)
  })
  const names = new Set(after.services.map(({ name }) => name))
  const gone = before.services.filter(({ name }) => !names.has(name)).map((service) => removed(service, running))
  const cluster = differences(before.timing, after.timing, 'timing').map(changeText)
  return { nodes: nodeChanges(before, after), services: [...present, ...gone], cluster }
}

/** Nothing would be different. */
export function isEmptyPlan({ nodes, services, cluster }: ConfigPlan): boolean {
  return nodes.length + cluster.length === 0 && services.every(({ change }) => change === 'nothing')
}

function nodeChanges(before: ClusterSpec, after: ClusterSpec): ConfigPlan['nodes'] {
  const missingIn = ({ nodes }: ClusterSpec, name: NodeName) => nodes.every((node) => node.name !== name)
  return [
    ...after.nodes
      .filter(({ name }) => missingIn(before, name))
      .map(({ name }) => ({ node: name, change: 'new' as const })),
    ...before.nodes
      .filter(({ name }) => missingIn(after, name))
      .map(({ name }) => ({ node: name, change: 'removed' as const })),
  ]
}

function added(service: ServiceSpec, { nodes }: ClusterSpec): ServicePlan {
  const instances = place(service, nodes).map((node) => ({ node, change: 'new' as const }))
  return { service: service.name, change: 'new', what: [], instances }
}

function removed({ name }: ServiceSpec, { services }: RunningFacts): ServicePlan {
  const nodes = services[name]?.nodes ?? []
  return { service: name, change: 'removed', what: [], instances: nodes.map((node) => ({ node, change: 'ends' })) }
}

interface Changed {
  readonly was: ServiceSpec
  readonly now: ServiceSpec
  readonly before: ClusterSpec
  readonly after: ClusterSpec
  readonly running: RunningFacts
  readonly changeOf: ChangeOfOptions
}

function changed(between: Changed): ServicePlan {
  const { was, now, changeOf } = between
  const options = was.kind === now.kind ? changeOf(was, now) : { needs: 'refused' as const, what: ['kind'] }
  const others = differences(withoutOptions(was), withoutOptions(now), '')
  const instances = instancesOf(between, options)
  const moves = instances.some(({ change }) => change === 'new' || change === 'ends' || change === 'moves')
  const rest = others.length > 0 ? 'reload' : moves ? 'instances' : 'nothing'
  const change = options.needs === 'nothing' || options.needs === 'refused' ? rest : options.needs
  const onlyPlaces =
    change === 'reload' && moves && others.every(({ path }) => /^(instances|replication\.k|nodes)$/.test(path))
  const what = [...options.what, ...others.map(described)]
  return {
    service: now.name,
    change: onlyPlaces && options.needs === 'nothing' ? 'instances' : change,
    what,
    instances,
  }
}

function described(change: ConfigChange): string {
  // What is an object or a list on one side only has no short form.
  const isPlain = [change.from, change.to].every((value) => typeof value !== 'object')
  return isPlain ? changeText(change) : `${change.path} changed`
}

function withoutOptions({ options: _, name: __, traits: ___, ...rest }: ServiceSpec): object {
  return rest
}

function instancesOf({ was, now, before, after, running }: Changed, options: OptionsChange): InstancePlan[] {
  const facts = running.services[now.name]
  const nodesBefore = placesOf(was, before.nodes, facts, facts?.wanted ?? was.instances)
  const wanted = was.instances === now.instances ? (facts?.wanted ?? now.instances) : now.instances
  const nodesAfter = placesOf(now, after.nodes, facts, wanted)
  const fresh = nodesAfter.filter((node) => !nodesBefore.includes(node))
  const leaves = nodesBefore.filter((node) => !nodesAfter.includes(node))
  const primary = facts?.primary ?? null
  const isStaying = (node: NodeName) => nodesBefore.includes(node) && nodesAfter.includes(node)
  const inOrder = after.nodes.map(({ name }) => name).filter(isStaying)
  // As they go: the primary last.
  const stays = [...inOrder.filter((node) => node !== primary), ...inOrder.filter((node) => node === primary)]
  return [
    ...stays.map((node) => ({ node, change: howOn(node === primary && nodesAfter.length > 1, options) })),
    ...leaves.map((node, at): InstancePlan => {
      const to = fresh[at]
      return to === undefined ? { node, change: 'ends' } : { node, change: 'moves', to }
    }),
    ...fresh.slice(leaves.length).map((node) => ({ node, change: 'new' as const })),
  ]
}

function howOn(isMovable: boolean, { needs, primaryStays }: OptionsChange): InstancePlan['change'] {
  if (needs === 'restart') return isMovable && !primaryStays ? 'switchover-restart' : 'restart'
  return needs === 'refused' ? 'nothing' : needs
}

/** Where its instances belong: as placement.ts says, with the primary and the replicas where they are. */
function placesOf(
  service: ServiceSpec,
  nodes: readonly NodeSpec[],
  facts: RunningService | undefined,
  instances: number,
): NodeName[] {
  const keep = facts?.replicas?.nodes ?? (facts?.primary ? [facts.primary] : [])
  return place(
    { ...service, instances },
    nodes,
    keep.filter((node) => mayUse(service, node)),
  )
}

/** Two configs that mean the same. */
export function isSameConfig(one: ClusterSpec, other: ClusterSpec): boolean {
  return isSame(one, other)
}
