/** Takes over what an earlier agent of this node left: what runs goes on running, and what it had pledged still holds. */
import type { Position } from '../../core/replica.ts'
import { settledPosition, stopReceiving } from './fence.ts'
import { isForeign } from './foreign.ts'
import type { Marker } from './marker.ts'
import type { Member } from './member.ts'
import { mayReceive } from './record.ts'
import { findPostmaster, killRemains } from './server.ts'

/** The position when it was fenced and still is; undefined when it is not. */
export async function adopt(member: Member, marker: Marker): Promise<Position | undefined> {
  const { folder, clock, record } = member.parts
  await folder.removeLeftovers()
  if (isForeign(member)) return undefined // somebody's database, to be taken over by `create`: until then it is left alone
  const postmaster = findPostmaster(folder, clock)
  if (!postmaster) {
    await killRemains(folder.data, clock)
    return undefined
  }
  member.hold(postmaster)
  const { leading, pledged } = record.now
  if (postmaster.isFrozen || mayReceive(record.now)) return undefined
  await member.untilItAnswers()
  if (leading !== null) {
    // A rule whose row was durable is marked again: nothing else says that it still is.
    if (!(await member.inRecovery())) marker.begin(leading)
    return undefined
  }
  if (!(await member.inRecovery())) {
    await member.end('immediate', 500, 'it ran as a primary without leading anything')
    await member.start()
  }
  // It may have died between its pledge and the end of the receiver: the pledge is what holds.
  await stopReceiving(member)
  return pledged > 0 ? settledPosition(member) : undefined
}
