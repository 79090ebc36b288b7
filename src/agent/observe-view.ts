/** Puts together the one picture that everything is decided by. */
import type { ClusterSpec, NodeName } from '../core/model.ts'
import type { View } from '../core/view.ts'
import type { World } from './agent-ports.ts'
import type { AgreedRecords } from './agreed-records.ts'
import type { Leads } from './leads.ts'
import type { LiveConfig } from './live-config.ts'
import type { Peers } from './peers.ts'
import type { Steps } from './steps-under-way.ts'

export interface Observed {
  readonly config: LiveConfig
  readonly self: NodeName
  readonly run: string
  readonly world: Pick<World, 'clock' | 'drivers' | 'balancer'>
  readonly agreed: AgreedRecords
  readonly peers: Peers
  readonly leads: Leads
  readonly steps: Steps
  /** On the monotonic clock. */
  readonly startedAt: number
  startsAtOnce(cluster: ClusterSpec): number
}

export function observe(
  { config, self, run, world, agreed, peers, leads, steps, startedAt, startsAtOnce }: Observed,
  lagMs: number,
): View {
  const now = world.clock.mono()
  const wall = world.clock.wall()
  peers.judge(now, wall, lagMs)
  const store = agreed.facts(now, config.record.spec.services)
  const cluster = config.cluster(store)
  const isTakenOut = cluster.nodes.every(({ name }) => name !== self)
  return {
    now,
    wall,
    self,
    cluster,
    config: config.facts(),
    store,
    peers: peers.facts(now),
    local: {
      instances: world.drivers.observe(),
      leases: leads.facts(),
      busy: steps.busy,
      failedIn: steps.failedIn,
      startedAgoMs: now - startedAt,
      lagMs,
      startsAtOnce: startsAtOnce(cluster),
      openDoors: world.balancer.open,
      stopping: isTakenOut || (store.cluster.desired === 'stopped' && store.cluster.run === run),
    },
  }
}
