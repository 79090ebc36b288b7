/**
 * This node was elected: it promotes its replica under the recorded `QuorumConfig`, and records `serving` only when the
 * quorum row is durable on that quorum. That one write proves three things at once: that the quorum works, that it has
 * everything before the row, and that a later recruitment will find this config. No client is admitted before it.
 *
 * The same is done for a server that ended and was restarted in place. After a crash its WAL holds writes that were
 * never acknowledged and that are visible again; the row comes after them, so when it is durable, so are they.
 */

import type { ServiceSpec } from '../model.ts'
import { forEachReplicated, type Problem } from '../problems/problem.ts'
import type { ServiceRecord } from '../records.ts'
import type { Step } from '../step.ts'
import { localInstance, type View } from '../view.ts'
import { failureOf } from './primary-evidence.ts'
import { sameConfig } from './quorum.ts'
import { type QuorumConfig, standbysText } from './quorum-config.ts'
import { couldBeat, leadsIn, newestConfig, type ReplicatedRecord, replicatedRecord } from './replica-facts.ts'

/** A successor is given so long before the server that failed is started again where it was. */
const SUCCESSOR_WITHIN_MS = 1_000
/** A quorum that can confirm does so within milliseconds. */
const ROW_WITHIN_MS = 2_000

export const promote = forEachReplicated((view, service) => {
  const record = replicatedRecord(view, service)
  if (!record || view.local.stopping) return undefined
  const quorum = newestConfig(record)
  const { phase } = record.replica
  if (quorum.primary !== view.self || quorum.term !== record.term) return undefined
  if (phase !== 'promoting' && phase !== 'serving') return undefined
  const instance = localInstance(view, service.name)
  const found = (why: string, ...steps: Step[]): Problem => {
    return { rule: 'promote', service: service.name, evidence: 'first-hand', why, told: 'not', steps }
  }
  const pledged = instance.replica?.pledged ?? 0
  if (pledged > quorum.term) return undefined // overtaken: the record will say so
  if (leadsIn(instance, quorum.term))
    return instance.replica?.quorumDurable ? confirmed(view, service, record) : rowAwaited(view, service, quorum)
  const busy = view.local.busy[service.name]
  if (busy?.step === 'promote-replica' && !busy.backingOff) return undefined // recruiting would call it off
  const chosen = `${view.self} was elected primary of ${service.name} for term ${quorum.term}`
  if (instance.state === 'stopping' || instance.state === 'starting') return undefined
  if (instance.hung) return undefined // `standby-unhealthy` ends it, and then it is started
  if (instance.term === quorum.term && instance.state === 'stopped') return restarted(view, service, quorum, found)
  // Once it served there is data somewhere. An empty database in its place would be followed, or block everything.
  if (quorum.term === 1 && phase === 'promoting' && !instance.replica?.position)
    return found(chosen, { kind: 'create', service: service.name, quorum })
  // A replica that ended after it was recruited is recruited again, which starts it.
  if (pledged === quorum.term && instance.replica?.recruited && instance.state === 'running')
    return found(chosen, { kind: 'promote-replica', service: service.name, quorum })
  return phase === 'promoting'
    ? found(chosen, { kind: 'recruit', service: service.name, term: quorum.term })
    : undefined
})

/** The row is durable: now it is recorded, and earlier configs need not be beaten any more. */
function confirmed(view: View, service: ServiceSpec, record: ReplicatedRecord): Problem | undefined {
  const quorum = newestConfig(record)
  const { replica } = localInstance(view, service.name)
  if (record.replica.phase !== 'promoting' || !view.store.reachable || !sameConfig(replica?.quorum, quorum))
    return undefined
  const what = `${view.self} is primary of ${service.name} in term ${quorum.term}, synchronous standbys: ${standbysText(quorum)}`
  const serving: ServiceRecord = {
    term: quorum.term,
    primary: view.self,
    replica: { phase: 'serving', by: record.replica.by, quorumConfigs: [quorum] },
  }
  const { revision } = record
  return {
    rule: 'promote',
    service: service.name,
    evidence: 'first-hand',
    why: what,
    told: 'not',
    steps: [{ kind: 'record', service: service.name, what, record: serving, revision }],
  }
}

/**
 * It is primary and its row waits for the quorum. The step is repeated, because the one that began to write the row may
 * have been called off.
 */
function rowAwaited(view: View, service: ServiceSpec, quorum: QuorumConfig): Problem {
  const why = `${service.name} waits until its synchronous standbys confirm term ${quorum.term}: ${standbysText(quorum)}`
  const mayAct = (view.store.recordForMs[service.name] ?? 0) > ROW_WITHIN_MS
  return {
    rule: 'quorum-row-missing',
    service: service.name,
    evidence: 'first-hand',
    why,
    told: 'not',
    steps: mayAct ? [{ kind: 'promote-replica', service: service.name, quorum }] : [],
  }
}

/** In place, when no other replica could take over, none did, or it was ended in order. */
function restarted(
  view: View,
  service: ServiceSpec,
  quorum: QuorumConfig,
  found: (why: string, ...steps: Step[]) => Problem,
) {
  const instance = localInstance(view, service.name)
  const record = replicatedRecord(view, service)
  const ended = `${service.name} on ${view.self} is down and started again where it led: ${instance.note || 'it has ended'}`
  if (instance.retryInMs > 0) return found(ended)
  const failure = failureOf(view, service, quorum)
  const hopeful = record !== undefined && couldBeat(view, service, record.replica.quorumConfigs, view.self)
  const isLeftToOthers = failure !== undefined && hopeful && view.store.reachable
  if (isLeftToOthers && instance.stateForMs < SUCCESSOR_WITHIN_MS) return found(ended)
  return found(ended, { kind: 'start', service: service.name, role: 'primary', term: quorum.term })
}
