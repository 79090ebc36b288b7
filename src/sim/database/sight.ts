/** What a look at the server shows: old by the time that anybody decides by it. */
import type { Position, ReplicaReport } from '../../core/replica.ts'
import { positionAt } from './log.ts'
import type { DatabaseServer } from './server.ts'

export interface Sight {
  readonly inRecovery: boolean
  readonly position: Position | null
  readonly replayLag: number
  readonly streaming: ReplicaReport['streaming']
  readonly receives: boolean
}

/** For people and decisions an entry is so many bytes. */
export const ENTRY_BYTES = 1_000

export function sightOf(server: DatabaseServer): Sight {
  const { disk, replay, inRecovery } = server
  const here = inRecovery ? Math.max(server.received ?? 0, replay.replayed) : disk.log.length
  return {
    inRecovery,
    position: positionAt(disk.log, here),
    replayLag: inRecovery ? here - replay.replayed : 0,
    streaming: server.senders.streaming.map(({ node, lag }) => ({ node, lagBytes: lag * ENTRY_BYTES })),
    receives: server.receiver?.streaming === true,
  }
}
