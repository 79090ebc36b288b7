/**
 * Clients first. A replica whose server is down does not help a change of primary before it has started, and starting
 * takes processor and disk from the replicas that take over, while clients wait for them: measured on one machine, a
 * tenth of what was busy in the half second of a switchover. So when the others are enough without it, it starts a
 * moment later.
 */

import type { ServiceSpec } from '../model.ts'
import { instanceOn, localInstance, nodeState, type View } from '../view.ts'
import { couldBeat, newestConfig, type ReplicatedRecord } from './replica-facts.ts'

/** After each step of a change of primary; the last of them admits clients. */
const LATER_MS = 500

/** This node's replica is down, and is not needed for now. */
export function canBeSpared(view: View, service: ServiceSpec, record: ReplicatedRecord): boolean {
  const { state } = localInstance(view, service.name)
  if (state !== 'stopped' && state !== 'stopping') return false
  if ((view.store.recordForMs[service.name] ?? 0) >= LATER_MS) return false
  const { phase, quorumConfigs } = record.replica
  if (phase === 'recruiting') return couldBeat(view, service, quorumConfigs, view.self)
  const { standbys, k } = newestConfig(record)
  const others = standbys.filter((node) => node !== view.self && runsOn(view, node, service))
  return others.length >= Math.max(1, k)
}

function runsOn(view: View, node: string, service: ServiceSpec): boolean {
  return nodeState(view, node) === 'alive' && instanceOn(view, node, service.name)?.state === 'running'
}
