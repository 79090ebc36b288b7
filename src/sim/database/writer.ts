/**
 * A client that never stops: it writes to every server that lets it in, whatever any balancer believes. That is harder than
 * what real clients do, and it leaves nothing to the luck of a routing table: only the fence may stop an old primary.
 */
import type { ClusterSpec, ServiceName } from '../../core/model.ts'
import type { Clock } from '../../lib/clock.ts'
import type { SimNode } from '../sim-node.ts'
import type { Ledger } from './ledger.ts'
import type { Entry } from './wal-model.ts'

const EVERY_MS = 20

/** What it needs of the simulated world. */
interface WrittenWorld {
  readonly cluster: ClusterSpec
  readonly wanted: ClusterSpec
  readonly nodes: ReadonlyMap<string, SimNode>
  readonly nowMs: number
  readonly clock: Pick<Clock, 'after'>
  broken(sentence: string): void
}

export function writeAllTheTime(world: WrittenWorld, service: ServiceName, ledger: Ledger): void {
  const spec = world.cluster.services.find(({ name }) => name === service)
  const needsTwo = spec !== undefined && spec.instances > 1 && spec.replication?.degrade === 'block'
  const tick = () => {
    for (const node of world.nodes.values()) {
      const server = node.databases.get(service)
      // A disk or a quorum that hangs takes the writes and never answers.
      if (!server?.open || node.processes.habitsOf(service).unhealthy) continue
      const sentAtMs = world.nowMs
      server.write((entry) => {
        ledger.acknowledge(node.name, entry, server.disk.log, world.nowMs, sentAtMs)
        // What was taken out of the config is set aside, by one node after the other.
        if (world.wanted.services.every(({ name }) => name !== service)) return
        const others = copiesOf(world, service, entry) - 1
        if (needsTwo && others < 1)
          world.broken(`${service} on ${node.name} acknowledged a write that no other node has`)
        else if (others < server.k)
          world.broken(`${service} on ${node.name} acknowledged a write that ${others} of ${server.k} others have`)
      })
    }
    world.clock.after(EVERY_MS, tick)
  }
  world.clock.after(EVERY_MS, tick)
}

function copiesOf(world: WrittenWorld, service: ServiceName, entry: Entry): number {
  return [...world.nodes.values()].filter(({ databases }) => databases.get(service)?.disk.log[entry.index] === entry)
    .length
}
