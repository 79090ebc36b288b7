/** Puts together the one picture that everything is decided by. */
import type { ClusterSpec, InstanceReport, NodeName, ServiceName } from '../core/model.ts'
import { asWished } from '../core/resize.ts'
import type { View } from '../core/view.ts'
import type { World } from './agent-ports.ts'
import type { AgreedRecords } from './agreed-records.ts'
import type { Leads } from './leads.ts'
import type { Peers } from './peers.ts'
import type { Steps } from './steps-under-way.ts'

export interface Observed {
  readonly cluster: ClusterSpec
  readonly self: NodeName
  readonly run: string
  readonly world: Pick<World, 'clock' | 'drivers' | 'door'>
  readonly agreed: AgreedRecords
  readonly peers: Peers
  readonly leads: Leads
  readonly steps: Steps
  /** On the monotonic clock. */
  readonly startedAt: number
  readonly startsAtOnce: number
}

export function observe(
  { cluster, self, run, world, agreed, peers, leads, steps, startedAt, startsAtOnce }: Observed,
  lagMs: number,
): View {
  const now = world.clock.mono()
  const wall = world.clock.wall()
  peers.judge(now, wall, lagMs)
  const store = agreed.facts(now, cluster.services)
  const instances: Record<ServiceName, InstanceReport> = {}
  for (const [name, driver] of world.drivers) instances[name] = driver.observe()
  return {
    now,
    wall,
    self,
    cluster: asWished(cluster, store.sizes),
    store,
    peers: peers.facts(now),
    local: {
      instances,
      leases: leads.facts(),
      busy: steps.busy,
      failedIn: steps.failedIn,
      startedAgoMs: now - startedAt,
      lagMs,
      startsAtOnce,
      openDoors: world.door.open,
      stopping: store.cluster.desired === 'stopped' && store.cluster.run === run,
    },
  }
}
