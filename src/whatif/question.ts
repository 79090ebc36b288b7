/** What is asked about: a cluster, where it agrees, and what is assumed. Nothing in it changes while an answer is worked out. */
import type { ClusterSpec, NodeName, ServiceName, ServiceSpec } from '../core/model.ts'
import { place } from '../core/placement.ts'
import type { Assumptions } from './assumptions.ts'

export interface Setting {
  readonly cluster: ClusterSpec
  /** The members of the store, of which a majority must agree; null: one store on the one machine that holds all nodes. */
  readonly voters: readonly NodeName[] | null
  readonly assumed: Assumptions
  /** The primaries before anything fails; a service that is not named elects one as at a first start. */
  readonly primaries: Readonly<Record<ServiceName, NodeName>>
  /** Of databases: the nodes that hold replicas before anything fails, the primary's too; others are placed as at a first start. */
  readonly replicas?: Readonly<Record<ServiceName, readonly NodeName[]>>
}

/** A store over several machines has 1, 3 or 5 members, spread over zones: an even one more would only be one more to lose. */
const USUAL_VOTERS = [5, 3, 1]

/**
 * Nodes that all live on this machine share its store, a file. Nodes with addresses of their own are several machines,
 * and then the store must be spread over them.
 */
export function votersFor({ nodes }: ClusterSpec): readonly NodeName[] | null {
  if (nodes.every(({ address }) => address.startsWith('127.'))) return null
  const count = USUAL_VOTERS.find((usual) => usual <= nodes.length) ?? 1
  const asService = { name: 'store', instances: count, nodes: [] } as unknown as ServiceSpec
  return place(asService, nodes)
}

/** A service and everything that it needs, and what those need: all that can make a difference to it. */
export function closureOf(cluster: ClusterSpec, service: ServiceName): readonly ServiceSpec[] {
  const wanted = new Set([service])
  for (const name of wanted) {
    for (const need of cluster.services.find((one) => one.name === name)?.needs ?? []) wanted.add(need)
  }
  return cluster.services.filter(({ name }) => wanted.has(name))
}
