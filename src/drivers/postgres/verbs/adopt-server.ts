/** Takes over what an earlier agent of this node left: what runs goes on running, and what it had pledged still holds. */
import type { Position } from '../../../core/replicated/quorum-config.ts'
import { isForeign } from '../copy/adopt-database.ts'
import { removeLeftovers } from '../copy/clone.ts'
import { mayReceive } from '../files/durable-record.ts'
import type { Replica } from '../replica.ts'
import { findPostmaster, killRemains, otherOwner } from '../server/postmaster.ts'
import type { QuorumRows } from './quorum-row.ts'
import { settledPosition, stopReceiving } from './recruit-server.ts'

/** The position when it was recruited and still is; undefined when it is not. */
export async function adopt(replica: Replica, quorumRows: QuorumRows): Promise<Position | undefined> {
  const { folder, clock, record, node } = replica.parts
  if (otherOwner(folder, node) !== null) return undefined // each verb refuses, and says why
  await removeLeftovers(folder)
  if (isForeign(replica)) return undefined // an existing database, to be adopted by `create`: until then it is left alone
  const postmaster = findPostmaster(folder, clock)
  if (!postmaster) {
    await killRemains(folder.data, clock)
    return undefined
  }
  replica.hold(postmaster)
  const { leading, pledged } = record.now
  if (postmaster.isFrozen || mayReceive(record.now)) return undefined
  await replica.untilItAnswers()
  if (leading !== null) {
    // A durable quorum row is written again: nothing else says that its quorum still works.
    if (!(await replica.inRecovery())) quorumRows.begin(leading)
    return undefined
  }
  if (!(await replica.inRecovery())) {
    await replica.end('immediate', 500, 'it ran as a primary without leading anything')
    await replica.start()
  }
  // It may have died between its pledge and the end of the receiver: the pledge is what holds.
  await stopReceiving(replica)
  return pledged > 0 ? settledPosition(replica) : undefined
}
