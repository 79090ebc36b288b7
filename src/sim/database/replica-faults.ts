/** What can go wrong with one replica of a database, beside what can go wrong with any process. */
import type { NodeName, ServiceName } from '../../core/model.ts'
import type { CopyFault } from '../scenario/language.ts'
import type { World } from '../sim-world.ts'
import type { DatabaseServer } from './database-server.ts'
import { type Ailments, FLUSH_MS } from './disk.ts'

interface Harm {
  begin(server: DatabaseServer, others: readonly NodeName[]): void
  /** Undoes this and nothing else. Absent: it is over at once. */
  readonly end?: (server: DatabaseServer) => void
}

const HARMS: Readonly<Record<CopyFault, Harm>> = {
  pause: { begin: ({ replay }) => replay.pause(), end: ({ replay }) => replay.resume() },
  block: { begin: ({ replay }) => replay.block(), end: ({ replay }) => replay.resume() },
  slow: { begin: ({ replay }) => replay.slow(), end: ({ replay }) => replay.heal() },
  fill: {
    begin: ({ disk }) => Object.assign(disk, { full: true }),
    end: ({ disk }) => Object.assign(disk, { full: false }),
  },
  'slow-disk': {
    begin: ({ disk }) => Object.assign(disk, { flushMs: 200 }),
    end: ({ disk }) => Object.assign(disk, { flushMs: FLUSH_MS }),
  },
  transaction: {
    begin: (server) => Object.assign(server, { hasOpenTransaction: server.runs && !server.inRecovery }),
    end: (server) => Object.assign(server, { hasOpenTransaction: false }),
  },
  'foreign-log': {
    begin: ({ disk }, others) => Object.assign(disk.settings, { restoreFrom: others }),
    end: ({ disk }) => Object.assign(disk.settings, { restoreFrom: [] }),
  },
  'cancel-waits': { begin: ({ senders }) => senders.cancelWaits() },
  'lost-log': { begin: (server) => server.loseLog() },
  'half-open-stream': { begin: ({ receiver }) => receiver?.forgotten() },
  'broken-stream': { begin: ({ receiver }) => receiver?.lost() },
  'stuck-receiver': ailing('stuckReceiver'),
  'late-receiver': ailing('lateReceiver'),
  'slow-checkpoint': ailing('slowCheckpoint'),
  'failing-rewind': ailing('failingRewind'),
  'hasty-start': ailing('hastyStart'),
}

function ailing(name: keyof Ailments): Harm {
  return {
    begin: ({ disk }) => Object.assign(disk.ailments, { [name]: true }),
    end: ({ disk }) => Object.assign(disk.ailments, { [name]: false }),
  }
}

export function isCopyFault(word: string): word is CopyFault {
  return word in HARMS
}

/** Returns what ends it, or undefined when it is over at once; null when there is no such replica. */
export function harmCopy(
  world: World,
  how: CopyFault,
  node: NodeName,
  service: ServiceName,
): (() => void) | undefined | null {
  const server = world.node(node).databases.get(service)
  if (!server) return null
  const { begin, end } = HARMS[how]
  begin(
    server,
    [...world.nodes.keys()].filter((other) => other !== node),
  )
  return end && (() => end(server))
}

export function healCopy(world: World, node: NodeName, service: ServiceName): void {
  const server = world.node(node).databases.get(service)
  server?.heal()
}
