/**
 * Faults that come at the worst moment: right after a step that changed something for everybody. A schedule drawn ahead
 * rarely hits the few milliseconds between two steps of a protocol; this does, in every second run.
 */
import type { ServiceName } from '../../core/model.ts'
import type { Random } from '../../lib/random.ts'
import type { Fault } from '../faults.ts'
import { inject } from '../inject.ts'
import type { World } from '../world.ts'

const TURNING_POINTS = /^(primary-|switchover-requested|node-drained|recruit|elect|lead|rule-change|standby-)/
const KINDS = ['kill primary', 'kill node', 'kill process', 'cut off', 'freeze primary', 'kill agent', 'cut'] as const
const WITHIN_MS = 20

/** Strikes until the returned function is called. */
export function strikeAtSteps(world: World, service: ServiceName, random: Random): () => void {
  let stopped = random() < 0.5
  const share = 0.05 + 0.2 * random()
  const names = world.cluster.nodes.map(({ name }) => name)
  const pick = (): string => names[Math.floor(random() * names.length)] ?? ''
  world.onHappened(({ node, what }) => {
    if (stopped || typeof what === 'string' || what.kind !== 'done' || !TURNING_POINTS.test(what.rule)) return
    if (random() >= share) return
    const kind = KINDS[Math.floor(random() * KINDS.length)] ?? 'kill primary'
    const [from, other] = [random() < 0.5 ? node : pick(), pick()]
    const to = other === from ? 'store' : other
    const fault = { kind, atMs: world.nowMs, forMs: Math.round(100 + 3_000 * random()), node: from, from, to, service }
    world.clock.after(WITHIN_MS * random(), () => {
      if (!stopped) inject(world, fault as Fault)
    })
  })
  return () => {
    stopped = true
  }
}
