/**
 * Enough replicas are recruited to beat every `QuorumConfig` that may be in force: the furthest of them becomes
 * primary. Acts at the first moment that is safe and does not wait for stragglers. The requested successor or the
 * winner of the term goes first, the others in turn, so it does not matter whether that node is alive; one of them wins
 * the swap, and a later term overtakes all of them.
 *
 * The new config names the replicas that are known to be able to follow. One that cannot would make a primary that
 * waits for ever (Vitess, issue 21187); others come in later, one by one.
 */

import type { NodeName, ServiceSpec } from '../model.ts'
import { place } from '../placement.ts'
import { forEachReplicated, type Problem } from '../problems/problem.ts'
import type { ServiceRecord } from '../records.ts'
import { isDrained, nodeState, type View } from '../view.ts'
import { quorumId } from './database-new.ts'
import { beats, beatsAll, comparePositions, furthest, type Recruited, recruitsNeeded } from './quorum.ts'
import type { QuorumConfig } from './quorum-config.ts'
import {
  newestConfig,
  type ReplicatedRecord,
  recruitedIn,
  replicaOn,
  replicatedRecord,
  replicationOf,
} from './replica-facts.ts'

/**
 * A single replica is elected only when no second one was recruited for so long; the requested successor is waited for
 * as long.
 */
export const OTHERS_WITHIN_MS = 1_000
const TOLD_AFTER_MS = 500

export const elect = forEachReplicated((view, service) => {
  const record = replicatedRecord(view, service)
  if (record?.replica.phase !== 'recruiting' || view.local.stopping) return undefined
  const recruited = recruitedIn(view, service, record.term)
  const found = (rule: Problem['rule'], why: string, steps: Problem['steps'], told?: Problem['told']): Problem => {
    return { rule, service: service.name, evidence: 'inferred', why, steps, ...(told && { told }) }
  }
  const missing = record.replica.quorumConfigs.find((quorum) => !beats(recruited, quorum))
  const forMs = view.store.recordForMs[service.name] ?? 0
  if (missing && forMs < TOLD_AFTER_MS) return undefined // they are being recruited
  if (missing) return found('no-quorum', whyNot(service, record, recruited, missing), [], 'once')
  const quorum = chosen(view, service, record, recruited)
  if (typeof quorum === 'string') return found('no-second-replica', quorum, [], 'once')
  if (!view.store.reachable || forMs < turnOf(view, record) * view.cluster.timing.staggerMs) return undefined
  const what = `${quorum.primary} elected primary of ${service.name} for term ${quorum.term} (recruited: ${names(recruited)})`
  const { revision } = record
  return found(
    'elect',
    what,
    [{ kind: 'record', service: service.name, what, record: promoting(record, quorum), revision }],
    'not',
  )
})

function promoting({ vacancy, replica }: ReplicatedRecord, quorum: QuorumConfig): ServiceRecord {
  const { term, primary } = quorum
  const next = { phase: 'promoting' as const, by: replica.by, quorumConfigs: [...replica.quorumConfigs, quorum] }
  return { term, primary, ...(vacancy && { vacancy }), replica: next }
}

/** The config of the new term, or a sentence: why no replica is elected yet. */
function chosen(
  view: View,
  service: ServiceSpec,
  record: ReplicatedRecord,
  recruited: readonly Recruited[],
): QuorumConfig | string {
  const waits = (view.store.recordForMs[service.name] ?? 0) < OTHERS_WITHIN_MS
  const { successor } = record.vacancy ?? {}
  const best =
    [...furthest(votersOf(view, record, recruited))].sort((a, b) => preference(view, service, record, a, b))[0]?.node ??
    view.self
  if (successor !== undefined && best !== successor && waits && nodeState(view, successor) === 'alive')
    return `waiting for ${successor}, the requested successor of ${service.name}`
  const standbys = followers(view, service, recruited, best)
  const { k, degrade } = replicationOf(service)
  if (standbys.length === 0 && service.instances > 1) {
    const alone = `${best} has the only reachable replica of ${service.name}`
    if (degrade === 'block') return `${alone}: no write is acknowledged before there is a second one (degrade: block)`
    if (waits) return `${alone}: waiting for a second one`
  }
  const id = quorumId(record.term, best, view.wall)
  return { term: record.term, primary: best, standbys, k: Math.min(k, standbys.length), id }
}

/**
 * A failed or drained primary is not elected if the others know enough without it. It may have the most WAL: what is
 * only there was never acknowledged.
 */
function votersOf(view: View, record: ReplicatedRecord, recruited: readonly Recruited[]): readonly Recruited[] {
  const fit = recruited.filter(({ node }) => node !== newestConfig(record).primary && !isDrained(view, node))
  return beatsAll(fit, record.replica.quorumConfigs) ? fit : recruited
}

/** Replicas whose WAL can continue from the new primary's; others only when there are none. */
function followers(view: View, service: ServiceSpec, recruited: readonly Recruited[], primary: NodeName): NodeName[] {
  const lead = recruited.find(({ node }) => node === primary)
  const all = recruited.filter(({ node }) => node !== primary)
  const staying = all.filter(({ node }) => !isDrained(view, node))
  const others = staying.length > 0 ? staying : all // a replica on a drained node is better than none
  const straight = others.filter(
    ({ position }) => lead && position.term === lead.position.term && comparePositions(position, lead.position) <= 0,
  )
  const wanted = Math.min(replicationOf(service).k, others.length)
  return (straight.length >= wanted ? straight : others).map(({ node }) => node)
}

/** Among equals: who was asked for, who is not drained, who has least to replay, and then as placed. */
function preference(view: View, service: ServiceSpec, record: ReplicatedRecord, a: Recruited, b: Recruited): number {
  const order = place({ ...service, instances: view.cluster.nodes.length }, view.cluster.nodes)
  const asked = ({ node }: Recruited) => Number(record.vacancy?.successor === node)
  const drained = ({ node }: Recruited) => Number(isDrained(view, node))
  const lag = ({ node }: Recruited) => replicaOn(view, node, service)?.replayLagBytes ?? 0
  return (
    asked(b) - asked(a) || drained(a) - drained(b) || lag(a) - lag(b) || order.indexOf(a.node) - order.indexOf(b.node)
  )
}

/** A former primary that won the term to switch over is still restarting as a standby when its successor is ready. */
function turnOf(view: View, { vacancy, replica }: ReplicatedRecord): number {
  const alive = view.cluster.nodes.map(({ name }) => name).filter((node) => nodeState(view, node) === 'alive')
  const first = [vacancy?.successor, replica.by].find((node) => node !== undefined && alive.includes(node))
  return [...alive].sort((a, b) => Number(b === first) - Number(a === first)).indexOf(view.self)
}

function whyNot(
  service: ServiceSpec,
  { term }: ReplicatedRecord,
  recruited: readonly Recruited[],
  quorum: QuorumConfig,
): string {
  const among = quorum.standbys.filter((standby) => recruited.some(({ node }) => node === standby))
  const needed = `${recruitsNeeded(quorum)} of ${quorum.standbys.join(', ') || 'no standbys'}, or ${quorum.primary}`
  return (
    `${service.name} has no primary: term ${term} needs ${needed}, and ${among.length} can be reached. ` +
    'Standbys go on serving reads. Writes resume when one of the others returns'
  )
}

function names(recruited: readonly Recruited[]): string {
  return recruited.map(({ node }) => node).join(', ')
}
