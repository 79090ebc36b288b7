/**
 * Most seeds break anything, and only what always holds is asked of them. Some are gentler, and more is promised there:
 *
 * - `unfelt`: agents and fences are killed, clocks are set. Nothing that runs may end by it.
 * - `one node`: everything that breaks is on one node, the store is healthy. A service with a primary is never without
 *   one for longer than `OUTAGE_MS`, whatever goes on there.
 */

import type { ClusterSpec } from '../core/model.ts'
import type { Random } from '../lib/random.ts'
import { drawFaults, type Fault, type FaultKind, type Schedule } from './fault-schedule.ts'
import { serves } from './served.ts'
import type { World } from './sim-world.ts'

export type RunProfile = 'anything' | 'unfelt' | 'one node'

/** The worst single cause is an instance that is unhealthy: 3 s until it is replaced; then a lease, a stop and a start. */
export const OUTAGE_MS = 6_000

/** A restarted agent needs this long until it has renewed and armed everything again. */
const APART_MS = 2_500

const UNFELT: readonly FaultKind[] = ['kill agent', 'kill fence', 'jump clock']
const ON_ONE_NODE: readonly FaultKind[] = [
  'kill primary',
  'kill process',
  'freeze process',
  'kill agent',
  'freeze agent',
  'kill agent and fence',
  'kill node',
  'cut off',
  'unhealthy',
  'crash loop',
  'refused',
]

export function profileOf(seed: number): RunProfile {
  if (seed % 8 === 3) return 'unfelt'
  return seed % 8 === 5 ? 'one node' : 'anything'
}

export function drawFor(manner: RunProfile, cluster: ClusterSpec, schedule: Schedule, random: Random): Fault[] {
  if (manner === 'anything') return drawFaults(cluster, schedule, random)
  if (manner === 'one node') {
    const victim = cluster.nodes[Math.floor(random() * cluster.nodes.length)]?.name ?? ''
    const faults = drawFaults(cluster, { ...schedule, kinds: ON_ONE_NODE }, random)
    // What cannot be started stays so for longer than the promise allows an outage: waiting for it to mend is no answer.
    const long = (fault: Fault) => (fault.kind === 'refused' ? { forMs: OUTAGE_MS * 2.5 } : {})
    return faults.map((fault) => ({ ...fault, ...long(fault), node: victim }) as Fault)
  }
  const kept: Fault[] = []
  for (const fault of drawFaults(cluster, { ...schedule, kinds: UNFELT }, random)) {
    const node = 'node' in fault ? fault.node : ''
    if (!kept.some((other) => 'node' in other && other.node === node && fault.atMs - other.atMs < APART_MS))
      kept.push(fault)
  }
  return kept
}

/** Watches a world for what its profile promises in addition. Returns what ends the watch. */
export function watchManner(manner: RunProfile, world: World, broken: (sentence: string) => void): () => void {
  if (manner === 'unfelt') return watchUnfelt(world, broken)
  return manner === 'one node' ? watchOutages(world, broken) : () => undefined
}

function watchUnfelt(world: World, broken: (sentence: string) => void): () => void {
  let watching = true
  world.onProcess((process, what) => {
    if (watching && what === 'dead')
      broken(`${process.service} on ${process.node} ended (${process.ending}), although nothing had touched it`)
  })
  return () => {
    watching = false
  }
}

const LOOK_EVERY_MS = 100

function watchOutages(world: World, broken: (sentence: string) => void): () => void {
  const since = new Map<string, number>()
  let watching = true
  const look = () => {
    if (!watching) return
    for (const { name, redundancy } of world.cluster.services) {
      if (redundancy !== 'active-passive' || serves(world, name) !== undefined) since.delete(name)
      else if (!since.has(name)) since.set(name, world.nowMs)
      else if (world.nowMs - (since.get(name) ?? 0) > OUTAGE_MS)
        broken(`${name} was not served for more than ${OUTAGE_MS} ms, although all that is broken is on one node`)
    }
    world.clock.after(LOOK_EVERY_MS, look)
  }
  look()
  return () => {
    watching = false
  }
}
