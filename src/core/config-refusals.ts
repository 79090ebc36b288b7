/**
 * What a running cluster cannot become in one step, each as one sentence that says what to do instead. Asked when a plan is made and
 * once more by the agent that writes the config: what is refused changes nothing.
 */
import type { RunningFacts } from './config-plan.ts'
import type { ClusterSpec, NodeName, ServiceSpec } from './model.ts'
import type { ChangeOfOptions } from './options-change.ts'
import { mayUse } from './placement.ts'

/** Empty: it may be done. */
export function configRefusals(
  before: ClusterSpec,
  after: ClusterSpec,
  running: RunningFacts,
  changeOf: ChangeOfOptions,
): string[] {
  const old = new Map(before.services.map((service) => [service.name, service]))
  return [
    ...clusterRefusals(before, after),
    ...nodeRefusals(before, after, running),
    ...after.services.flatMap((now) => {
      const was = old.get(now.name)
      return was ? serviceRefusals(was, now, changeOf) : []
    }),
    ...after.services.flatMap((now) => dataRefusals(now, after, running)),
    ...portRefusals(before, after),
  ]
}

function clusterRefusals(before: ClusterSpec, after: ClusterSpec): string[] {
  const found: string[] = []
  const other = 'start it as another cluster, from another state folder'
  if (before.name !== after.name) found.push(`the cluster is called ${before.name}, not ${after.name}: ${other}`)
  if (before.store.kind !== after.store.kind)
    found.push(`the store cannot be changed from ${before.store.kind} to ${after.store.kind}: ${other}`)
  if (before.apiPort !== after.apiPort)
    found.push(
      `agents find each other at port ${before.apiPort}, which cannot be changed to ${after.apiPort} while they run: ` +
        'run “understudy down”, then “understudy up”',
    )
  return found
}

function nodeRefusals(before: ClusterSpec, after: ClusterSpec, { alive, leaving }: RunningFacts): string[] {
  const found = after.nodes.flatMap(({ name, address }) => {
    const was = [...before.nodes, ...leaving].find((node) => node.name === name)?.address
    if (was === undefined || was === address) return []
    return [
      `the address of ${name} cannot be changed from ${was} to ${address}: write address: '${was}', or add a node of another name`,
    ]
  })
  const stays = after.nodes.filter(({ name }) => alive.includes(name))
  const isKept = after.nodes.some(({ name }) => before.nodes.some((node) => node.name === name))
  if (!isKept) found.push('no node of the cluster would stay: add the new nodes first, and remove the old ones later')
  else if (stays.length === 0)
    found.push('no node that would stay is alive: bring one of them back first, or remove other nodes')
  return found
}

function serviceRefusals(was: ServiceSpec, now: ServiceSpec, changeOf: ChangeOfOptions): string[] {
  const { name } = now
  const instead = 'add a service of another name and remove this one'
  if (was.kind !== now.kind) return [`${name} cannot be changed from ${was.kind}() to ${now.kind}(): ${instead}`]
  if (was.redundancy !== now.redundancy)
    return [`${name} cannot be changed from ${was.redundancy} to ${now.redundancy}: ${instead}`]
  const { needs, why = `its options cannot be changed: ${instead}` } = changeOf(was, now)
  return needs === 'refused' ? [`${name}: ${why}`] : []
}

/** An acknowledged write is on the primary and on k standbys: as many nodes may go at a time as leave one of them. */
function dataRefusals(now: ServiceSpec, after: ClusterSpec, running: RunningFacts): string[] {
  const { name } = now
  const replicas = running.services[name]?.replicas
  if (!replicas || replicas.nodes.length === 0) return []
  const stays = replicas.nodes.filter((node) => isUsable(now, after, node))
  const goes = replicas.nodes.filter((node) => !stays.includes(node))
  if (goes.length === 0) return []
  if (stays.length === 0) {
    const which = goes.length === 1 ? `${goes[0]} holds the only replica` : `${goes.join(', ')} hold all replicas`
    return [`${which} of ${name}: let another node have one first, with “understudy resize ${name} ${goes.length + 1}”`]
  }
  const most = Math.max(1, replicas.k)
  const staysAlive = stays.filter((node) => running.alive.includes(node))
  if (staysAlive.length === 0)
    return [`no replica of ${name} that would stay is alive (${stays.join(', ')}): bring one back first`]
  if (goes.length > most)
    return [
      `${goes.join(', ')} hold replicas of ${name}, and at most ${most} may go at a time, or a write that was acknowledged could be ` +
        'on none that stays: remove them one after the other',
    ]
  return []
}

function isUsable(service: ServiceSpec, { nodes }: ClusterSpec, node: NodeName): boolean {
  return nodes.some(({ name }) => name === node) && mayUse(service, node)
}

/** A port that an instance itself takes is free only when that instance has ended. */
function portRefusals(before: ClusterSpec, after: ClusterSpec): string[] {
  const ofOld = new Map(
    before.services.flatMap(({ name, options }) => ownPort(options).map((port) => [port, name] as const)),
  )
  return after.services.flatMap(({ name, options, endpoints }) =>
    [...ownPort(options), ...endpoints.map(({ port }) => port)].flatMap((port) => {
      const holder = ofOld.get(port)
      if (holder === undefined || holder === name) return []
      return [
        `${name} cannot have port ${port} as long as instances of ${holder} have it: change or remove ${holder} first, then apply this`,
      ]
    }),
  )
}

function ownPort({ port }: ServiceSpec['options']): number[] {
  return typeof port === 'number' ? [port] : []
}
