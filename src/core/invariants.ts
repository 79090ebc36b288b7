/**
 * What must be true at every moment, whatever dies, hangs or is disconnected. The simulator and the tests check these
 * after every event, and the live agent raises them as alarms (problems/alarms.ts). Each takes plain facts and returns
 * what is broken as sentences; an empty list is the only good answer. docs/safety.md says which promise each one
 * guards.
 */
import type { ClusterSpec, InstanceReport, NodeName, ServiceName, ServiceSpec, Term } from './model.ts'
import { place } from './placement.ts'

export interface Seen {
  readonly node: NodeName
  readonly instance: InstanceReport
}

/** Never two instances of a single-writer service that run as primary. */
export function oneWriter(cluster: ClusterSpec, seen: readonly Seen[]): string[] {
  return cluster.services
    .filter(({ traits }) => traits.singleWriter)
    .flatMap(({ name }) => {
      const writers = seen.filter(({ instance }) => instance.service === name && runsAsPrimary(instance))
      if (writers.length < 2) return []
      return [
        `${name} has ${writers.length} primaries: ${writers.map(({ node, instance }) => `${node} (term ${instance.term})`).join(', ')}`,
      ]
    })
}

/** Terms only grow. */
export function termsGrow(
  before: Readonly<Record<ServiceName, Term>>,
  after: Readonly<Record<ServiceName, Term>>,
): string[] {
  return Object.entries(before).flatMap(([service, term]) => {
    const now = after[service] ?? 0
    return now < term ? [`the term of ${service} went from ${term} back to ${now}`] : []
  })
}

/** No instance leads in a term that the store never handed out. */
export function termsAreGranted(granted: Readonly<Record<ServiceName, Term>>, seen: readonly Seen[]): string[] {
  return seen.flatMap(({ node, instance }) => {
    const newest = granted[instance.service] ?? 0
    return instance.term > newest
      ? [`${instance.service} on ${node} is primary in term ${instance.term}, the store knows ${newest}`]
      : []
  })
}

/** The term is the fencing token of one run: no second process may ever lead in it, not even on the same node. */
export function oneRunForTerm(earlier: Seen | undefined, now: Seen): string[] {
  const isSame =
    earlier?.node === now.node &&
    earlier.instance.pid === now.instance.pid &&
    earlier.instance.startTime === now.instance.startTime
  if (!earlier || isSame) return []
  const { service, term } = now.instance
  return [`term ${term} of ${service} is used twice: by a process on ${earlier.node} and by another on ${now.node}`]
}

/**
 * No zone has two instances of a service while another zone that could have one has none. `on`: where its instances belong
 * now; with nodes away that may be crowded, and then it must be said (`zone-crowded`).
 */
export function zonesAreSpread(
  cluster: ClusterSpec,
  service: ServiceSpec,
  on: readonly NodeName[] = place(service, cluster.nodes),
): string[] {
  const zoneOf = new Map(cluster.nodes.map((node) => [node.name, `${node.region}/${node.zone}`]))
  const placed = on.map((node) => zoneOf.get(node) ?? '')
  const usable = cluster.nodes.filter((node) => service.nodes.length === 0 || service.nodes.includes(node.name))
  const zones = new Set(usable.map((node) => zoneOf.get(node.name) ?? ''))
  const crowded = placed.find((zone, index) => placed.indexOf(zone) !== index)
  const empty = [...zones].find((zone) => !placed.includes(zone))
  return crowded && empty ? [`${service.name} has two instances in zone ${crowded} and none in ${empty}`] : []
}

function runsAsPrimary(instance: InstanceReport): boolean {
  return instance.role === 'primary' && instance.state !== 'stopped'
}

/**
 * Whatever was acknowledged, or could be read, is in the WAL of the instance that serves now. WALs are compared entry
 * by entry, by identity: the same number at the same place is not the same write.
 */
export function nothingIsMissing(
  service: ServiceName,
  node: NodeName,
  promised: readonly unknown[],
  log: readonly unknown[],
): string[] {
  const lost = promised.findIndex((entry, index) => log[index] !== entry)
  if (lost < 0) return []
  return [`${service} on ${node} lacks acknowledged writes: ${promised.length - lost} of ${promised.length}`]
}

/** Once an instance is primary in a term, no instance acknowledges a write in a lower one. */
export function onlyTheNewestAcknowledges(service: ServiceName, node: NodeName, term: Term, newest: Term): string[] {
  return term < newest ? [`${service} on ${node} acknowledges in term ${term}, and term ${newest} is led already`] : []
}
