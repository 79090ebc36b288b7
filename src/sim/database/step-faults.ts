/**
 * Faults that come at the worst moment: right after a step that changed something for all nodes. A schedule drawn ahead
 * rarely hits the few milliseconds between two steps of a protocol; this does, in every second run.
 */
import type { Random } from '../../lib/random.ts'
import { inject } from '../fault-injection.ts'
import type { Fault, FaultKind } from '../fault-schedule.ts'
import type { World } from '../sim-world.ts'
import { STORE } from '../store-handle.ts'

const TURNING_POINTS = /^(primary-|switchover-requested|node-drained|recruit|elect|lead|standbys-change|standby-)/
/** What is decided anew soon after: there the node that acts is struck twice as often. */
const RULES_CHANGE = /^(elect|standby-added|standby-lost|standbys-change|lead)$/

/** Two or three at once: what was just done is not known elsewhere, or cannot be written, when its author is gone. */
const STRIKES: readonly (readonly FaultKind[])[] = [
  ['kill primary'],
  ['kill node'],
  ['kill process'],
  ['cut off'],
  ['freeze primary'],
  ['kill agent'],
  ['cut'],
  ['slow link', 'kill primary'],
  ['slow link', 'kill node'],
  ['slow link', 'freeze primary'],
  ['store slow', 'kill node'],
  ['store unsure', 'kill node'],
  ['cut off', 'kill node'],
  ['kill node', 'kill node'],
  ['pause replay', 'cut', 'kill primary'],
  ['slow replay', 'slow link', 'kill primary'],
  ['slow replay', 'kill process', 'cut', 'kill primary'],
  ['cut off', 'cancel waits', 'kill node'],
  ['switchover', 'kill agent'],
  ['switchover'],
  ['open transaction', 'switchover'],
]
const SOON_MS = 20
const LATER_MS = 400

/** Strikes until the returned function is called. */
export function faultsAtSteps(world: World, random: Random): () => void {
  let stopped = random() < 0.4
  const share = 0.04 + 0.16 * random()
  const names = world.cluster.nodes.map(({ name }) => name)
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T
  const services = world.cluster.services.filter(({ traits }) => traits.replicates).map(({ name }) => name)
  const strike = (kind: FaultKind, actor: string) => {
    const [from, other] = [random() < 0.6 ? actor : pick(names), pick(names)]
    const to = other === from ? STORE : other
    const forMs = Math.round(100 + 3_000 * random())
    const fault = { kind, forMs, node: from, from, to: kind === 'switchover' ? other : to, service: pick(services) }
    world.clock.after((random() < 0.7 ? SOON_MS : LATER_MS) * random(), () => {
      if (!stopped) inject(world, { ...fault, atMs: Math.round(world.nowMs) } as Fault)
    })
  }
  world.onHappened(({ node, what }) => {
    if (stopped || typeof what === 'string' || what.kind !== 'done' || !TURNING_POINTS.test(what.rule)) return
    if (random() >= share * (RULES_CHANGE.test(what.rule) ? 2 : 1)) return
    for (const kind of pick(STRIKES)) strike(kind, node)
  })
  return () => {
    stopped = true
  }
}
