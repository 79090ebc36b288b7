/** What the config asks for and is not there, with the true reason for each node (redundancy.ts says what it comes to). */

import { candidatesFor } from './election.ts'
import { describe, isServing } from './explain.ts'
import type { NodeName, ServiceSpec } from './model.ts'
import { silenceOf } from './node-silence.ts'
import { mayUse, placedOn } from './placement.ts'
import { standbyFault } from './replicated/candidates.ts'
import { newestConfig, placedReplicas, replicatedRecord } from './replicated/replica-facts.ts'
import { hasLeader, instanceOn, isDrained, isHealthy, isStopping, leaderOf, nodeState, type View } from './view.ts'

export interface Missing {
  /** `store`: no failover is possible without it. */
  readonly what: 'replica' | 'instance' | 'endpoint' | 'store'
  /** Null: no node is left for it, or it belongs to none. */
  readonly node: NodeName | null
  readonly why: string
}

/** The nodes whose instance counts, or that can start a cold standby at once. */
export function soundNodes(view: View, service: ServiceSpec): NodeName[] {
  const faultOf = faultFinder(view, service)
  return allowedNodes(view, service).filter((node) => faultOf(node) === undefined)
}

/** At most `count`: where instances belong and are not, then the nodes that cannot be used, then what no node is there for. */
export function missingInstances(view: View, service: ServiceSpec, count: number): Missing[] {
  if (count <= 0) return []
  const what = unitOf(service)
  const allowed = allowedNodes(view, service)
  const faultOf = faultFinder(view, service)
  const placed = service.traits.replicates ? placedReplicas(view, service) : placedOn(view, service)
  const others = allowed.filter((node) => !placed.includes(node) && unusable(view, node) !== undefined)
  const inOrder = allowed.filter((node) => placed.includes(node))
  const named = [...inOrder, ...others].flatMap((node): Missing[] => {
    const why = faultOf(node)
    return why === undefined ? [] : [{ what, node, why: unusable(view, node) ?? why }]
  })
  const nowhere: Missing = { what, node: null, why: `only ${allowed.length} of the nodes may be used` }
  return Array.from({ length: count }, (_, index) => named[index] ?? nowhere)
}

export function unitOf({ traits }: ServiceSpec): 'replica' | 'instance' {
  return traits.replicates ? 'replica' : 'instance'
}

/** Endpoints of nodes that are heard; what a silent node's balancer does is not known. `all`: no known one is open. */
export function closedEndpoints(
  view: View,
  service: ServiceSpec,
): { readonly missing: Missing[]; readonly all: boolean } {
  const missing: Missing[] = []
  let known = 0
  for (const { name, address } of service.endpoints.length === 0 ? [] : view.cluster.nodes) {
    const open = name === view.self ? view.local.openDoors : view.peers[name]?.report?.openDoors
    if (!open || nodeState(view, name) !== 'alive' || isStopping(view, name)) continue
    known += service.endpoints.length
    for (const { port } of service.endpoints) {
      if (open.includes(`${address}:${port}`)) continue
      missing.push({ what: 'endpoint', node: name, why: `its balancer does not listen on ${address}:${port}` })
    }
  }
  return { missing, all: known > 0 && missing.length === known }
}

function allowedNodes(view: View, service: ServiceSpec): NodeName[] {
  return view.cluster.nodes.map(({ name }) => name).filter((node) => mayUse(service, node))
}

/** What keeps a node from counting; undefined for one that counts. */
function faultFinder(view: View, service: ServiceSpec): (node: NodeName) => string | undefined {
  const unlessWell = (node: NodeName) =>
    isHealthy(instanceOn(view, node, service.name)) ? undefined : whatItSays(view, service, node)
  if (!hasLeader(service)) return (node) => silenceOf(view, node) ?? unlessWell(node)
  const lead = leaderOf(view, service)?.node
  const leads = (node: NodeName) =>
    silenceOf(view, node) ?? (isServing(view, service) ? undefined : whatItSays(view, service, node))
  if (service.traits.replicates)
    return (node) => {
      if (node === lead) return leads(node)
      return standbyFault(view, service, node) ?? unlessStandby(view, service, node)
    }
  const candidates = candidatesFor(view, service)
  return (node) => {
    if (node === lead) return leads(node)
    const silence = silenceOf(view, node)
    if (silence !== undefined) return silence
    const candidate = candidates.find((one) => one.node === node)
    if (!candidate?.able || candidate.inMs > 0) return candidate?.why ?? 'it may not lead'
    return service.standby === 'cold' ? undefined : unlessWell(node)
  }
}

function unlessStandby(view: View, service: ServiceSpec, node: NodeName): string | undefined {
  const record = replicatedRecord(view, service)
  const isIn = record !== undefined && newestConfig(record).standbys.includes(node)
  return isIn ? undefined : 'it follows and is not in the quorum yet'
}

function whatItSays(view: View, service: ServiceSpec, node: NodeName): string {
  return `its instance is ${describe(instanceOn(view, node, service.name))}`
}

function unusable(view: View, node: NodeName): string | undefined {
  if (isDrained(view, node)) return 'it is drained'
  if (isStopping(view, node)) return 'it is being stopped'
  return nodeState(view, node) === 'lost' ? silenceOf(view, node) : undefined
}
