/** What can go wrong with one copy of a database, beside what can go wrong with any process. */
import type { NodeName, ServiceName } from '../../core/model.ts'
import { assertNever } from '../../lib/assert.ts'
import type { CopyFault } from '../scenario/language.ts'
import type { World } from '../world.ts'
import { FLUSH_MS } from './disk.ts'

/** False when there is no such copy. */
export function harmCopy(world: World, how: CopyFault, node: NodeName, service: ServiceName): boolean {
  const server = world.node(node).databases.get(service)
  if (!server) return false
  switch (how) {
    case 'pause':
      server.replay.pause()
      return true
    case 'block':
      server.replay.block()
      return true
    case 'slow':
      server.replay.slow()
      return true
    case 'fill':
      server.disk.full = true
      return true
    case 'slow-disk':
      server.disk.flushMs = 200
      return true
    case 'transaction':
      server.hasOpenTransaction = server.runs && !server.inRecovery
      return true
    case 'cancel-waits':
      server.senders.cancelWaits()
      return true
    default:
      return assertNever(how)
  }
}

export function healCopy(world: World, node: NodeName, service: ServiceName): void {
  const server = world.node(node).databases.get(service)
  if (!server) return
  server.replay.heal()
  server.hasOpenTransaction = false
  server.disk.full = false
  server.disk.flushMs = FLUSH_MS
}
