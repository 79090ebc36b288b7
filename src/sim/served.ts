/** Does a service do its work for clients, by the world's own truth? */
import type { NodeName, ServiceName } from '../core/model.ts'
import type { World } from './sim-world.ts'

/** The client writes every 20 ms. */
const ACKNOWLEDGED_MS = 45

/**
 * A node that serves it now; for a service with a primary, the one. Undefined when none does. `sinceMs`: a database serves when
 * a write that was sent after that moment has been acknowledged; what was acknowledged before a fault says nothing of it.
 */
export function serves(world: World, service: ServiceName, sinceMs = -1): NodeName | undefined {
  const ledger = world.ledgers.get(service)
  if (ledger) {
    const { last } = ledger
    if (!last || last.sentAtMs <= sinceMs) return undefined
    const server = world.nodes.get(last.node)?.databases.get(service)
    const isDying = server?.process?.dying ?? true
    return server?.open && !isDying && !server.draining && !server.isFrozen && world.nowMs - last.atMs < ACKNOWLEDGED_MS
      ? last.node
      : undefined
  }
  const spec = world.wanted.services.find(({ name }) => name === service)
  if (spec?.redundancy === 'active-passive') {
    const primary = world.primaryOf(service)
    return primary && world.node(primary.node).processes.isHealthy(primary) ? primary.node : undefined
  }
  for (const node of world.nodes.values()) {
    if (node.processes.all().some((process) => process.service === service && node.processes.isHealthy(process)))
      return node.name
  }
  return undefined
}
