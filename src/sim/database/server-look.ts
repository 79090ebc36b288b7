/** What a look at the server shows: old by the time of the decision. */
import type { Position, ReplicaReport } from '../../core/replicated/quorum-config.ts'
import type { DatabaseServer } from './database-server.ts'
import { positionAt } from './wal-model.ts'

export interface ServerLook {
  readonly inRecovery: boolean
  readonly position: Position | null
  readonly replayLag: number
  readonly streaming: ReplicaReport['streaming']
  readonly receives: boolean
}

/** In reports an entry is so many bytes. */
export const ENTRY_BYTES = 1_000

export function lookAt(server: DatabaseServer): ServerLook {
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
