/** What can go wrong with one copy of a database, beside what can go wrong with any process. */
import type { NodeName, ServiceName } from '../../core/model.ts'
import { assertNever } from '../../lib/assert.ts'
import type { CopyFault } from '../scenario/language.ts'
import type { World } from '../world.ts'
import { type Ailments, FLUSH_MS, NO_AILMENTS } from './disk.ts'
import type { DatabaseServer } from './server.ts'

const AILMENTS: Readonly<Record<Exclude<CopyFault, Simple>, Partial<Ailments>>> = {
  'stuck-receiver': { stuckReceiver: true },
  'late-receiver': { lateReceiver: true },
  'slow-checkpoint': { slowCheckpoint: true },
  'failing-rewind': { failingRewind: true },
  'hasty-start': { hastyStart: true },
}

type Simple =
  | 'pause'
  | 'block'
  | 'slow'
  | 'fill'
  | 'slow-disk'
  | 'cancel-waits'
  | 'transaction'
  | 'foreign-log'
  | 'lost-log'
  | 'broken-stream'

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
    case 'foreign-log':
      server.disk.settings.restoreFrom = [...world.nodes.keys()].filter((other) => other !== node)
      return true
    case 'lost-log':
      server.loseLog()
      return true
    case 'broken-stream':
      server.receiver?.lost()
      return true
    case 'stuck-receiver':
    case 'late-receiver':
    case 'slow-checkpoint':
    case 'failing-rewind':
    case 'hasty-start':
      Object.assign(server.disk.ailments, AILMENTS[how])
      return true
    default:
      return assertNever(how)
  }
}

export function healCopy(world: World, node: NodeName, service: ServiceName): void {
  const server = world.node(node).databases.get(service)
  if (server) healServer(server)
}

export function healServer(server: DatabaseServer): void {
  const { replay, disk } = server
  server.hasOpenTransaction = false
  replay.heal()
  Object.assign(disk, { full: false, flushMs: FLUSH_MS })
  disk.settings.restoreFrom = []
  Object.assign(disk.ailments, NO_AILMENTS)
}
