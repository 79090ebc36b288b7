/**
 * A standby hangs or does not answer: it is ended, and `standby-behind` or `standby-down` starts it again. An unhealthy
 * primary is the business of `primary-failed`; only when it hangs is it ended here as well, once it no longer leads.
 */

import { formatDuration } from '../../lib/duration.ts'
import type { InstanceReport, ServiceSpec } from '../model.ts'
import { forEachReplicated } from '../problems/problem.ts'
import { localInstance, nodeState, type View } from '../view.ts'
import { placedReplicas, replicaOn, replicatedRecord } from './replica-facts.ts'

/** From a kill to a standby that streams again: seconds, on a busy machine. */
const RESTART_TURN_MS = 10_000

export const standbyUnhealthy = forEachReplicated((view, service) => {
  const instance = localInstance(view, service.name)
  if (instance.role !== 'standby' || (instance.state !== 'running' && instance.state !== 'starting')) return undefined
  const { unhealthyForMs, startWithinMs } = service.timing
  const turnMs = instance.replica?.unfit ? turnOf(view, service) * RESTART_TURN_MS : 0
  const isIll = instance.health === 'unhealthy' && !waits(instance) && instance.healthForMs >= unhealthyForMs + turnMs
  // A new clone that catches up is at work, however long that takes: ending it would make it begin again.
  const busy = view.local.busy[service.name]?.step
  const isAtWork = busy === 'follow' || busy === 'create'
  const catchesUp = instance.replica?.quarantined === true || isAtWork
  const isSlow = !catchesUp && instance.health === 'unknown' && instance.stateForMs >= startWithinMs
  if (!instance.hung && !isIll && !isSlow) return undefined
  const what = instance.hung
    ? `hangs: ${instance.note}`
    : `has not been healthy for ${formatDuration(isIll ? unhealthyForMs : startWithinMs)}: ${instance.note}`
  return {
    rule: 'standby-unhealthy',
    service: service.name,
    evidence: 'first-hand',
    why: `${service.name} on ${view.self} ${what}`,
    steps: [{ kind: 'kill', service: service.name }],
  }
})

/** An operator paused it: shown as unhealthy, and left as it is. A restart would undo what the operator did. */
function waits({ replica }: InstanceReport): boolean {
  return replica?.unfit?.restartHelps === false
}

/** What makes one standby unfit mostly makes all of them unfit. One after the other they can still confirm writes meanwhile. */
function turnOf(view: View, service: ServiceSpec): number {
  const names = view.cluster.nodes.map(({ name }) => name)
  const inLine = names.filter((node) => nodeState(view, node) === 'alive' && replicaOn(view, node, service)?.unfit)
  return Math.max(0, inLine.indexOf(view.self))
}

/** A replica that belongs elsewhere ends when no quorum config names it any more. Its data stays where it is. */
export const standbySurplus = forEachReplicated((view, service) => {
  const instance = localInstance(view, service.name)
  const quorumConfigs = replicatedRecord(view, service)?.replica.quorumConfigs
  if (!quorumConfigs || view.local.stopping || instance.state !== 'running' || instance.role !== 'standby')
    return undefined
  if (placedReplicas(view, service).includes(view.self)) return undefined
  if (quorumConfigs.some(({ primary, standbys }) => primary === view.self || standbys.includes(view.self)))
    return undefined
  return {
    rule: 'instance-surplus',
    service: service.name,
    evidence: 'inferred',
    why: `surplus instance of ${service.name} on ${view.self}`,
    steps: [{ kind: 'stop', service: service.name }],
  }
})
