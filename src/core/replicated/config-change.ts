/**
 * The primary keeps its `QuorumConfig` in step with the standbys that there are, one standby or one count at a time:
 *
 *     1. record [old, new]    from now on a recruitment has to beat both
 *     2. the server           its setting first, then the quorum row of `new`, durable under the new setting
 *     3. record [new]         what was acknowledged under `old` comes before that row, so the new quorum has it
 *
 * A standby comes in when it follows and has caught up. It goes out when it has been away for `lostAfterMs`, and never
 * because of a mere suspicion: lowering the quorum is a decision like any other, on the record before the server learns
 * of it, because it acknowledges all waiting writes at once. The last one goes out only with `degrade: run-alone`. When
 * a standby is lost while a change waits for it, the next step is recorded on top of that change, which stays to be
 * beaten.
 */

import type { NodeName, ServiceSpec } from '../model.ts'
import { forEachReplicated, type Problem } from '../problems/problem.ts'
import { instanceOn, localInstance, nodeState, type View } from '../view.ts'
import { defaultK, sameConfig, stepTowards } from './quorum.ts'
import { type QuorumConfig, standbysText } from './quorum-config.ts'
import {
  hasNoCopyYet,
  leadsIn,
  newestConfig,
  placedReplicas,
  type ReplicatedRecord,
  replicaOn,
  replicatedRecord,
  replicationOf,
} from './replica-facts.ts'

/** How much WAL a standby may still lack when it comes in: it must have all of it before the new quorum is durable. */
const CLOSE_BYTES = 16 * 1_048_576

export const configChange = forEachReplicated((view, service) => {
  const record = replicatedRecord(view, service)
  if (!record || !view.store.reachable || view.local.stopping) return undefined
  const quorum = newestConfig(record)
  const { phase, quorumConfigs } = record.replica
  if (quorum.term !== record.term || quorum.primary !== view.self || (phase !== 'serving' && phase !== 'promoting'))
    return undefined
  const instance = localInstance(view, service.name)
  if (!leadsIn(instance, quorum.term)) return undefined
  const isUnderWay = quorumConfigs.length > 1 && quorumConfigs.at(-2)?.term === quorum.term
  if (isUnderWay && !isStuck(view, service, quorum)) return goOn(view, service, record)
  const next = stepTowards(quorum, ...wanted(view, service, quorum))
  if (!next) return isUnderWay ? goOn(view, service, record) : awaySentence(view, service, record)
  const what = `synchronous standbys of ${service.name}: ${standbysText(quorum)} → ${standbysText(next)}`
  const { revision, ...kept } = record
  const changed = { ...kept, replica: { ...record.replica, quorumConfigs: [...quorumConfigs, next] } }
  return {
    rule: next.standbys.length < quorum.standbys.length || next.k < quorum.k ? 'standby-lost' : 'standby-added',
    service: service.name,
    evidence: 'inferred',
    why: what,
    told: 'not',
    steps: [{ kind: 'record', service: service.name, what, record: changed, revision }],
  }
})

/**
 * A change that the reachable standbys can never confirm: the next step goes on the record beside it, and a recruitment
 * has to beat all.
 */
function isStuck(view: View, service: ServiceSpec, quorum: QuorumConfig): boolean {
  const { replica } = localInstance(view, service.name)
  const away = quorum.standbys.filter((node) => isGone(view, service, node))
  return !sameConfig(replica?.quorum, quorum) && away.length > 0 && quorum.standbys.length - away.length < quorum.k
}

/** It is on the record: now the server, and when that is done, the record without the older configs. */
function goOn(view: View, service: ServiceSpec, record: ReplicatedRecord): Problem | undefined {
  const quorum = newestConfig(record)
  const { replica } = localInstance(view, service.name)
  const what = `synchronous standbys of ${service.name}: ${standbysText(quorum)}`
  const found = (steps: Problem['steps']): Problem => {
    return { rule: 'standbys-change', service: service.name, evidence: 'first-hand', why: what, told: 'not', steps }
  }
  if (!sameConfig(replica?.quorum, quorum)) return found([{ kind: 'change-quorum', service: service.name, quorum }])
  const { revision } = record
  const serving = { ...record.replica, phase: 'serving' as const, quorumConfigs: [quorum] }
  const changed = { term: record.term, primary: view.self, ...(record.switchover && { switchover: record.switchover }) }
  return found([{ kind: 'record', service: service.name, what, record: { ...changed, replica: serving }, revision }])
}

function wanted(view: View, service: ServiceSpec, quorum: QuorumConfig): [standbys: NodeName[], k: number] {
  const placed = placedReplicas(view, service)
  const { streaming = [] } = localInstance(view, service.name).replica ?? {}
  const isClose = (node: NodeName) => streaming.some((one) => one.node === node && one.lagBytes <= CLOSE_BYTES)
  const comesIn = (node: NodeName) => {
    const replica = replicaOn(view, node, service)
    return (
      isClose(node) && replica?.receivingFrom === view.self && !replica.quarantined && nodeState(view, node) === 'alive'
    )
  }
  const staying = quorum.standbys.filter((node) => placed.includes(node) && !isGone(view, service, node))
  const coming = placed.filter((node) => node !== view.self && !quorum.standbys.includes(node) && comesIn(node))
  const { k, sync, degrade } = replicationOf(service)
  const standbys = [...staying, ...coming]
  const mayBeAlone = service.instances === 1 || degrade === 'run-alone'
  if (standbys.length === 0 && !mayBeAlone) return [[...quorum.standbys], Math.min(1, quorum.standbys.length)]
  // Before all are in, it asks for no more than half of those that are: the loss of one more must not stop writes. A
  // `sync` in the config is honoured as far as there are standbys.
  const isWhole = standbys.length >= service.instances - 1 || sync !== undefined
  const most = isWhole ? k : Math.max(quorum.k, defaultK(standbys.length + 1))
  return [standbys, Math.min(k, most, standbys.length)]
}

/** It does not receive, and that is no hiccup: its node is lost, or its own agent says since when it has been down. */
function isGone(view: View, service: ServiceSpec, node: NodeName): boolean {
  const { streaming = [] } = localInstance(view, service.name).replica ?? {}
  if (streaming.some((one) => one.node === node)) return false
  const state = nodeState(view, node)
  if (state === 'lost') return true
  const instance = state === 'alive' ? instanceOn(view, node, service.name) : undefined
  const { lostAfterMs } = view.cluster.timing
  return instance?.state === 'stopped' && instance.stateForMs >= lostAfterMs
}

/** Nothing can be changed for the better; the event says why writes are blocked. */
function awaySentence(view: View, service: ServiceSpec, record: ReplicatedRecord): Problem | undefined {
  const quorum = newestConfig(record)
  // Before the first row there are no writes to block, and a standby that is copied for the first time is not lost.
  const comes = (node: NodeName) => hasNoCopyYet(record) && nodeState(view, node) !== 'lost'
  const away = quorum.standbys.filter((node) => isGone(view, service, node) && !comes(node))
  if (away.length === 0 || quorum.standbys.length - away.length >= quorum.k) return undefined
  const why = `writes to ${service.name} are blocked: ${away.join(', ')} ${away.length === 1 ? 'is' : 'are'} unreachable, and ${standbysText(quorum)} must confirm them`
  return { rule: 'standby-lost', service: service.name, evidence: 'inferred', why, steps: [] }
}
