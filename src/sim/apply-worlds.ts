/** Made-up worlds in which configs are applied: their clusters, what happens to them, and what is promised while nothing fails. */
import type { ClusterSpec, ServiceSpec } from '../core/model.ts'
import { updateOf } from '../core/rollout.ts'
import type { Random } from '../lib/random.ts'
import { DATABASE_SCHEDULE } from './database/database-schedule.ts'
import {
  APPLY_KINDS,
  APPLY_WEIGHTS,
  drawFaults,
  type Fault,
  type FaultKind,
  VERSION_KINDS,
  WEIGHTS,
} from './fault-schedule.ts'
import { type MadeUpService, madeUpCluster } from './made-up-cluster.ts'
import { serves } from './served.ts'
import type { World } from './sim-world.ts'

/** Long enough for a roll-out over three nodes. */
const APPLIES_OVER_MS = 9_000

/** `versions`: nothing happens but changes that leave the number of instances as it is, and then capacity is promised. */
export type ApplyProfile = 'versions' | 'applies alone' | 'with faults'

export function applyProfileOf(seed: number): ApplyProfile {
  if (seed % 5 === 1) return 'versions'
  return seed % 5 === 3 ? 'applies alone' : 'with faults'
}

export function drawApplies(profile: ApplyProfile, cluster: ClusterSpec, isDatabase: boolean, random: Random): Fault[] {
  const count = 2 + Math.floor(random() * 5)
  const when = { fromMs: 1_500, overMs: APPLIES_OVER_MS }
  const kinds: readonly FaultKind[] = profile === 'versions' ? VERSION_KINDS : APPLY_KINDS
  const changes = drawFaults(cluster, { ...when, count, kinds, weights: APPLY_WEIGHTS }, random)
  if (profile !== 'with faults') return changes
  // A stop of the whole cluster begins with another config on the disks: what is under way then is another story.
  const { 'stop cluster': _, ...weights } = isDatabase ? DATABASE_SCHEDULE.weights : WEIGHTS
  const faults = drawFaults(cluster, { ...when, count: 1 + Math.floor(random() * 5), weights }, random)
  return [...changes, ...faults].sort((a, b) => a.atMs - b.atMs)
}

const compiled = new Map<string, ClusterSpec>()

export function applyCluster(isDatabase: boolean, random: Random): ClusterSpec {
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T
  const nodes = pick(['abc', 'abc', 'abc', 'abcd', 'abcde'])
  const standby = pick(['warm', 'cold'] as const)
  const update = { atOnce: pick([1, 1, 2]), pause: '800ms', onFailure: pick(['stop', 'rollback'] as const) }
  const key = [isDatabase, nodes, standby, ...Object.values(update)].join()
  const known = compiled.get(key)
  if (known) return known
  const one = { ...update, atOnce: 1 }
  const passive = { redundancy: 'active-passive', instances: 2, update: one } as const
  const services: MadeUpService[] = [
    isDatabase
      ? { ...passive, name: 'db', kind: 'database', instances: 3, standby: 'warm' }
      : { ...passive, name: 'worker', kind: 'command', standby },
    { name: 'web', kind: 'http', redundancy: 'active-active', instances: 3, standby: 'cold', update },
  ]
  const spec = madeUpCluster(
    [...nodes].map((name) => ({ name, zone: `zone-${name}` })),
    services,
  )
  compiled.set(key, spec)
  return spec
}

const LOOK_EVERY_MS = 20
/** A switchover of a made-up service: its end, a swap in the store, a start. */
const PAUSE_MS = 2_000

/** While nothing fails, a roll-out takes no more instances than `atOnce` says, and a primary is away for a moment only. */
export function watchCapacity(profile: ApplyProfile, world: World, broken: (sentence: string) => void): () => void {
  if (profile !== 'versions') return () => undefined
  const complete = new Set<string>()
  const since = new Map<string, number>()
  let watching = true
  const look = () => {
    if (!watching) return
    for (const service of world.wanted.services) {
      if (service.redundancy === 'active-active') lookAtMany(service)
      else lookAtPrimary(service)
    }
    world.clock.after(LOOK_EVERY_MS, look)
  }
  const lookAtMany = (service: ServiceSpec) => {
    const healthy = [...world.nodes.values()].filter(({ processes }) => {
      const process = processes.of(service.name)
      return process !== undefined && processes.isHealthy(process)
    }).length
    if (healthy === service.instances) complete.add(service.name)
    const { atOnce } = updateOf(service)
    if (complete.has(service.name) && healthy < service.instances - atOnce)
      broken(
        `${healthy} of ${service.instances} instances of ${service.name} are healthy, and ${atOnce} may be replaced at a time`,
      )
  }
  const lookAtPrimary = ({ name }: ServiceSpec) => {
    if (serves(world, name) !== undefined) since.delete(name)
    else if (!since.has(name)) since.set(name, world.nowMs)
    else if (world.nowMs - (since.get(name) ?? 0) > PAUSE_MS)
      broken(`${name} was not served for more than ${PAUSE_MS} ms, although nothing but its version changed`)
  }
  look()
  return () => {
    watching = false
  }
}
