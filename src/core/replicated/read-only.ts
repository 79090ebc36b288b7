/**
 * Can no replica acknowledge a write now, and will that last? Then the database is read-only: clients of the primary
 * are routed to a replica that answers reads, and are told why writes are blocked, instead of being held for as long as
 * a failover may take. It ends by itself when enough replicas are reachable again.
 *
 * Two ways to get there. There is a primary, and so few of its standbys are left that none of its writes can be
 * confirmed. Or there is none, and the replicas that are left do not know enough to elect one of them (quorum.ts).
 *
 * The trap is an agent that died while its server goes on: nothing is lost then, and no client may be routed away from
 * a primary that works. So a silent node still counts as long as a living server sends WAL to it, or gets WAL from it.
 * And a fault does not count as lasting before it is as old as an agent's restart may take (`lostAfterMs`): until then
 * clients are held.
 */

import type { InstanceReport, NodeName, ServiceSpec } from '../model.ts'
import { forEachReplicated } from '../problems/problem.ts'
import { instanceOn, nodeState, type View } from '../view.ts'
import { beatsAll, comparePositions, type Recruited } from './quorum.ts'
import { standbysText } from './quorum-config.ts'
import {
  hasNoCopyYet,
  leadsIn,
  newestConfig,
  type ReplicatedRecord,
  replicaOn,
  replicatedRecord,
  replicationOf,
} from './replica-facts.ts'

export interface ReadOnly {
  /** A sentence: why no write can be acknowledged, and what to do. */
  readonly why: string
  /** Which node answers reads: the primary that cannot acknowledge, or the replica that has most; null when none can. */
  readonly reads: NodeName | null
}

/** Undefined while writes are acknowledged, or may soon be again. */
export function readOnlyOf(view: View, service: ServiceSpec): ReadOnly | undefined {
  const record = replicatedRecord(view, service)
  if (!service.traits.replicates || !record || view.local.stopping || hasNoCopyYet(record)) return undefined
  const nodes = view.cluster.nodes.map(({ name }) => name)
  const there = nodes.filter((node) => isThere(view, service, node))
  const { primary, term } = newestConfig(record)
  const leads = there.includes(primary) && leadsIn(instanceOn(view, primary, service.name), term)
  if (leads) return withoutStandbys(view, service, record, there)
  const isAbout = record.replica.phase === 'promoting' || record.replica.phase === 'serving'
  if (isAbout && there.includes(primary)) return undefined // it is about to lead, or to be started again where it led
  const enough = (these: readonly NodeName[]) => couldLead(view, service, record, these)
  if (enough(there)) return undefined
  const away = concerned(record).filter((node) => !there.includes(node))
  const left = concerned(record).filter((node) => there.includes(node))
  const anyOf = away.filter((node) => enough([...there, node]))
  const reads = furthestReader(view, service)
  const why =
    `${service.name} is read-only: quorum lost (up: ${left.join(', ') || 'none'}; down: ${away.join(', ') || 'none'}). ` +
    remedy(reads, anyOf, away)
  return { why, reads }
}

function withoutStandbys(
  view: View,
  service: ServiceSpec,
  record: ReplicatedRecord,
  there: readonly NodeName[],
): ReadOnly | undefined {
  const { primary, standbys, k } = newestConfig(record)
  const away = standbys.filter((node) => !there.includes(node))
  const missing = k - (standbys.length - away.length)
  if (missing <= 0) return undefined
  const reads = replicaOn(view, primary, service)?.quorumDurable ? primary : null
  const why =
    `${service.name} is read-only: ${primary} is primary, synchronous standbys ${standbysText({ standbys, k })}, ` +
    `unreachable: ${away.join(', ')}. ${remedy(reads, missing === 1 ? away : [], away)}`
  return { why, reads }
}

function remedy(reads: NodeName | null, anyOf: readonly NodeName[], all: readonly NodeName[]): string {
  const back = anyOf.length > 0 ? anyOf.join(' or ') : all.join(' and ') || 'another replica'
  const said = reads === null ? 'No replica serves reads' : `${reads} serves reads`
  const verb = anyOf.length === 0 && all.length > 1 ? 'return' : 'returns'
  return `${said}. Writes resume when ${back} ${verb}`
}

/** Would these be enough to elect a primary, if all of them were recruited? One that is being started counts as sound. */
function couldLead(view: View, service: ServiceSpec, record: ReplicatedRecord, nodes: readonly NodeName[]): boolean {
  const { quorumConfigs } = record.replica
  const voters = nodes.flatMap((node): Recruited[] => {
    const replica = replicaOn(view, node, service)
    if (replica?.quarantined) return []
    const position = replica?.position ?? { term: newestConfig(record).term, timeline: 0, log: '0' }
    return concerned(record).includes(node) || replica?.position ? [{ node, position }] : []
  })
  const alone = service.instances === 1 || replicationOf(service).degrade === 'run-alone'
  return beatsAll(voters, quorumConfigs) && voters.length >= (alone ? 1 : 2)
}

function concerned({ replica: { quorumConfigs } }: ReplicatedRecord): NodeName[] {
  return [...new Set(quorumConfigs.flatMap(({ primary, standbys }) => [primary, ...standbys]))].sort()
}

function isThere(view: View, service: ServiceSpec, node: NodeName): boolean {
  if (isHeardByAnother(view, service, node)) return true
  const state = nodeState(view, node)
  if (state === 'lost') return false
  const instance = instanceOn(view, node, service.name)
  if (state !== 'alive' || !instance) return true // it may be heard of yet
  return downForMs(instance) < view.cluster.timing.lostAfterMs
}

function downForMs(instance: InstanceReport): number {
  if (instance.state === 'stopped') return instance.stateForMs
  return instance.hung ? instance.healthForMs : 0
}

/** Its server exchanges WAL with that of a node that is alive, whatever became of its agent. */
function isHeardByAnother(view: View, service: ServiceSpec, node: NodeName): boolean {
  return view.cluster.nodes.some(({ name }) => {
    if (name === node || nodeState(view, name) !== 'alive') return false
    const instance = instanceOn(view, name, service.name)
    if (instance?.state !== 'running' || instance.hung) return false
    const { receivingFrom, streaming = [] } = instance.replica ?? {}
    return receivingFrom === node || streaming.some((stream) => stream.node === node)
  })
}

/** The replica that has most of those that answer. */
function furthestReader(view: View, service: ServiceSpec): NodeName | null {
  const readers = view.cluster.nodes.flatMap(({ name }): Recruited[] => {
    const instance = nodeState(view, name) === 'alive' ? instanceOn(view, name, service.name) : undefined
    const { position, quarantined, diverged } = instance?.replica ?? {}
    const answers = instance?.state === 'running' && instance.health === 'healthy' && instance.role === 'standby'
    return answers && position && !quarantined && !diverged ? [{ node: name, position }] : []
  })
  const [best] = [...readers].sort((a, b) => comparePositions(b.position, a.position))
  return best?.node ?? null
}

/** Told once, with what to do about it. Nothing is done: routing.ts leads clients to a replica that serves reads. */
export const readOnly = forEachReplicated((view, service) => {
  const found = readOnlyOf(view, service)
  if (!found) return undefined
  return { rule: 'read-only', service: service.name, evidence: 'inferred', why: found.why, steps: [], told: 'once' }
})
