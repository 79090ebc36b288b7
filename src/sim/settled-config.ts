/** Does all of the cluster run as the newest config says, once nothing is broken any more? What does not, as sentences. */
import type { ServiceSpec } from '../core/model.ts'
import type { ConfigRecord, RolloutFailure } from '../core/records.ts'
import { targetOf, updateOf } from '../core/rollout.ts'
import type { World } from './sim-world.ts'

export function unapplied(world: World): string[] {
  const { config } = world.configTruth
  if (!config) return []
  return [...unfinished(config), ...unheard(world, config), ...leftovers(world), ...outdated(world)]
}

function unfinished({ leaving, removed }: ConfigRecord): string[] {
  return [
    ...leaving.map(({ name }) => `${name} was taken out and has not left`),
    ...removed.map(({ name }) => `${name} was removed and is not gone`),
  ]
}

/** Agents that act on another config; those of nodes that were taken out end. */
function unheard(world: World, { number }: ConfigRecord): string[] {
  const names = new Set(world.wanted.nodes.map(({ name }) => name))
  return [...world.nodes.values()].flatMap(({ name, agent }) => {
    if (!names.has(name)) return agent ? [`the agent of ${name} runs, which was taken out`] : []
    return agent?.config.number === number
      ? []
      : [`${name} acts on config ${agent?.config.number}, and ${number} holds`]
  })
}

const KINDS_OF_SERVICES: ReadonlySet<string> = new Set(['service', 'lead', 'size', 'wish', 'rollout'])

/** Of services that were removed or stopped, and on nodes that were taken out. */
function leftovers(world: World): string[] {
  const { nodes, services } = world.wanted
  const running = new Set(services.filter(({ stopped }) => !stopped).map(({ name }) => name))
  const found: string[] = []
  for (const node of world.nodes.values()) {
    const isIn = nodes.some(({ name }) => name === node.name)
    for (const { service } of node.processes.all())
      if (!isIn || !running.has(service)) found.push(`${service} runs on ${node.name}, where it should not`)
  }
  for (const key of world.store.read().entries.keys()) {
    const [kind = '', name = ''] = key.split('/')
    const isKnown = services.some((one) => one.name === name)
    if (KINDS_OF_SERVICES.has(kind) && !isKnown) found.push(`the store has ${key}, and there is no such service`)
  }
  return found
}

/** What runs is what the config says, or the record says why the roll-out stopped. */
function outdated(world: World): string[] {
  return world.wanted.services.flatMap((service) => {
    if (service.stopped) return []
    const old = [...world.nodes.values()].filter((node) => isOutdated(node.processes.of(service.name)?.spec, service))
    if (old.length === 0 || hasStopped(world, service)) return []
    return [`${service.name} on ${old.map(({ name }) => name).join(', ')} runs another version than the config says`]
  })
}

function isOutdated(started: ServiceSpec | undefined, wanted: ServiceSpec): boolean {
  return started !== undefined && targetOf(started) !== targetOf(wanted)
}

/** Not where it should have gone back by itself. */
function hasStopped(world: World, service: ServiceSpec): boolean {
  const record = world.configTruth.rolloutOf(service.name)
  return record?.target === targetOf(service) && record.failed !== undefined && !goesBack(service, record.failed)
}

function goesBack(service: ServiceSpec, { noWayBack }: RolloutFailure): boolean {
  return updateOf(service).onFailure === 'rollback' && !noWayBack
}
