/**
 * What in a report is news. Ages grow all the time and WAL positions too; all else is news, whatever fields a report
 * may get one day.
 */
import type { InstanceReport, NodeReport } from '../core/model.ts'
import type { ReplicaReport } from '../core/replicated/quorum-config.ts'
import { sameItems, saysTheSame } from '../lib/same.ts'

const APART = new Set(['instances'])
const DECIDES_NOTHING = new Set(['instances', 'problems'])
const AGES = new Set(['healthForMs', 'stateForMs', 'retryInMs', 'replica'])
const PROGRESS = new Set(['replayLagBytes', 'heardAgoMs', 'streaming', 'position'])

/** Does the second report say nothing that the first did not? */
export function isNoNews(before: NodeReport, now: NodeReport): boolean {
  return saysTheSame(before, now, APART) && sameItems(before.instances, now.instances, isAsBefore)
}

/**
 * Can a decision differ between the first report and the second? Reported problems do not count: each node acts on what
 * it finds itself.
 */
export function mayMatter(before: NodeReport, now: NodeReport): boolean {
  return !saysTheSame(before, now, DECIDES_NOTHING) || !sameItems(before.instances, now.instances, isAsBefore)
}

/** The second report of an instance says nothing that the first did not. */
export function isAsBefore(before: InstanceReport, now: InstanceReport): boolean {
  return (
    before.retryInMs > 0 === now.retryInMs > 0 &&
    saysTheSame(before, now, AGES) &&
    sameReplica(before.replica, now.replica)
  )
}

function sameReplica(before: ReplicaReport | undefined, now: ReplicaReport | undefined): boolean {
  if (!before || !now) return before === now
  return (
    saysTheSame(before, now, PROGRESS) &&
    sameItems(before.streaming, now.streaming, (one, other) => one.node === other.node) &&
    before.position?.term === now.position?.term &&
    // The position of a recruited replica decides which becomes primary next.
    (!now.recruited || saysTheSame(before.position, now.position))
  )
}
