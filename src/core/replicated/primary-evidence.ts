/**
 * Has the primary of a replicated service failed? Three kinds of evidence, from the best to the weakest: its own node
 * saw it end (`primary-down`), it runs and does not do its work (`primary-unhealthy`), it is silent (`primary-lost`).
 * None of them has to be right: an error costs one change of primary, because what follows takes the old one's quorum
 * away before there is another. That is why no timeout here has to be long.
 */

import { formatDuration } from '../../lib/duration.ts'
import type { NodeName, ServiceSpec } from '../model.ts'
import type { Problem } from '../problems/problem.ts'
import { ownLatenessMs } from '../suspicion.ts'
import { instanceOn, localInstance, nodeState, recordOf, type View } from '../view.ts'
import type { QuorumConfig } from './quorum-config.ts'
import { replicaOn } from './replica-facts.ts'

export interface Failure {
  readonly rule: 'primary-down' | 'primary-lost' | 'primary-unhealthy'
  readonly evidence: Problem['evidence']
  readonly why: string
  /** For how long it has been so, as far as this node knows. */
  readonly forMs: number
}

/** A server that was ended in order is given so long to be started again by its own node. */
const BACK_WITHIN_MS = 3_000
/** An elected primary must serve within this, or another is elected: WAL that is not replayed yet takes longest. */
const LEADS_WITHIN_MS = 10_000

/** And within this when those who should confirm its row were lost meanwhile: it would wait for them for ever. */
const CONFIRMED_WITHIN_MS = 2_000
/** An agent is given this long to be restarted while its server serves on. A supervisor waits 5 s at the most. */
const AGENT_BACK_WITHIN_MS = 10_000
/** What falls silent within this belongs together: one heartbeat, and half of one for being late. */
const TOGETHER_MS = 150
/** A server that lives is heard every 300 ms, give or take the time that it takes to ask (drivers/postgres/server/primary-liveness.ts). */
const ANSWERS_WITHIN_MS = 250
/** A stream from a host that is gone ends after its time-out at the latest. */
const STREAM_ENDS_MS = 3_500

export function failureOf(view: View, service: ServiceSpec, { primary, k }: QuorumConfig): Failure | undefined {
  const state = nodeState(view, primary)
  if (state === 'condemned' || state === 'lost')
    return outlivesItsAgent(view, service, primary) ? undefined : lost(view, service, primary)
  const instance = instanceOn(view, primary, service.name)
  if (!instance || state === 'unknown') return undefined
  const its = `the primary of ${service.name} on ${primary}`
  const failed = (rule: Failure['rule'], what: string, forMs: number): Failure => {
    return { rule, evidence: 'first-hand', why: `${its} ${what}`, forMs }
  }
  if (instance.state === 'stopped') {
    const byItself = instance.failures > 0
    if (!byItself && instance.stateForMs < BACK_WITHIN_MS) return undefined
    const what = `is down: ${instance.note || 'it has ended'}`
    return failed('primary-down', what, instance.stateForMs - (byItself ? 0 : BACK_WITHIN_MS))
  }
  if (instance.hung) return failed('primary-unhealthy', `hangs: ${instance.note}`, instance.healthForMs)
  const { unhealthyForMs, startWithinMs } = service.timing
  const quorumIsThere = (replicaOn(view, primary, service)?.streaming.length ?? 0) >= k
  if (instance.health === 'unhealthy' && quorumIsThere && instance.healthForMs >= unhealthyForMs) {
    const what = `has been unhealthy for more than ${formatDuration(unhealthyForMs)}: ${instance.note}`
    return failed('primary-unhealthy', what, instance.healthForMs - unhealthyForMs)
  }
  if (instance.state === 'starting' && instance.stateForMs >= startWithinMs) {
    return failed('primary-unhealthy', `did not start within ${formatDuration(startWithinMs)}`, instance.stateForMs)
  }
  return undefined
}

/** Are enough of the standbys that must confirm the quorum row reachable? In term 1 the standbys are yet to be cloned. */
export function canBeConfirmed(view: View, { term, standbys, k }: QuorumConfig): boolean {
  return term === 1 || standbys.filter((standby) => nodeState(view, standby) === 'alive').length >= k
}

/** A recorded primary has not served for a while, or its quorum row cannot become durable: not first-hand evidence. */
export function stalledOf(view: View, service: ServiceSpec, quorum: QuorumConfig): Failure | undefined {
  const isNew = quorum.term === 1 // no data anywhere: the first primary creates it, which takes as long as the disk is slow
  const leadsWithinMs = isNew ? Math.max(LEADS_WITHIN_MS, service.timing.startWithinMs) : LEADS_WITHIN_MS
  const withinMs = canBeConfirmed(view, quorum) ? leadsWithinMs : CONFIRMED_WITHIN_MS
  const forMs = (view.store.recordForMs[service.name] ?? 0) - withinMs
  if (forMs < 0 || replicaOn(view, quorum.primary, service)?.quorumDurable) return undefined
  const why = isNew
    ? `${quorum.primary} has not created the database ${service.name} within ${formatDuration(withinMs)}`
    : `${quorum.primary} is not primary of ${service.name} ${formatDuration(withinMs)} after it was elected`
  return { rule: 'primary-unhealthy', evidence: 'inferred', why, forMs }
}

/**
 * An agent may be dead while its server serves on, and its supervisor is about to start another. The standbys are
 * connected to the server itself, so nothing is lost as long as this one has heard from it after the agent fell silent;
 * only a server without an agent must not last. When nothing was heard since, an answer may be on its way for a moment
 * longer: a host that lost power falls silent with its agent. And a node that was late itself reads late what its own
 * server has heard long ago.
 */
function outlivesItsAgent(view: View, service: ServiceSpec, primary: NodeName): boolean {
  const phase = recordOf(view, service.name).replica?.phase
  const silentMs = view.peers[primary]?.heardAgoMs ?? 0
  if (phase !== 'serving' || silentMs > AGENT_BACK_WITHIN_MS) return false
  const patientMs = view.cluster.timing.suspectFloorMs + ownLatenessMs(view.local.lagMs)
  const own = localInstance(view, service.name).replica
  if (own?.receivingFrom !== primary || own.heardAgoMs === undefined) {
    // Another standby hears it, or finds out that it does not: that one is to judge.
    const others = view.cluster.nodes.filter(({ name }) => name !== view.self && nodeState(view, name) === 'alive')
    const heardElsewhere = others.some(({ name }) => replicaOn(view, name, service)?.receivingFrom === primary)
    return heardElsewhere && silentMs < patientMs + STREAM_ENDS_MS
  }
  const heardAfterMs = silentMs - own.heardAgoMs
  if (heardAfterMs > TOGETHER_MS) return own.heardAgoMs < patientMs + ANSWERS_WITHIN_MS
  return silentMs < patientMs + ANSWERS_WITHIN_MS
}

function lost(view: View, service: ServiceSpec, primary: NodeName): Failure {
  const { heardAgoMs = 0, state = 'lost' } = view.peers[primary] ?? {}
  const why = `the primary of ${service.name} is lost: ${primary} is silent (${state})`
  return { rule: 'primary-lost', evidence: 'inferred', why, forMs: heardAgoMs - view.cluster.timing.suspectFloorMs }
}
