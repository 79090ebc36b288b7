/**
 * What becomes of a service that replicates, by the decisions that its agents take: which node wins a term
 * (`primaryFailed`), which recruit is elected (`elect`), how the primary keeps its quorum in step (`configChange`), and
 * whether writes stop (`readOnlyOf`). These are pure, so they are asked one after the other on made-up views
 * (imagined-replicas.ts); what servers do about it (recruit, promote, follow, change a quorum) is taken to succeed.
 * There is no lease in it: the replicas fence.
 *
 * Left out: a replica that would be cloned on a spare node, because it is not known how long cloning takes.
 */

import type { NodeName, ServiceSpec } from '../core/model.ts'
import type { Finder, Problem } from '../core/problems/problem.ts'
import { configChange } from '../core/replicated/config-change.ts'
import { elect, OTHERS_WITHIN_MS } from '../core/replicated/elect.ts'
import { expectedRto, TAKEOVER_MS } from '../core/replicated/expected-rto.ts'
import { primaryFailed } from '../core/replicated/primary-failed.ts'
import { readOnlyOf } from '../core/replicated/read-only.ts'
import { newestConfig } from '../core/replicated/replica-facts.ts'
import type { Step } from '../core/step.ts'
import type { View } from '../core/view.ts'
import type { Course, Done } from './course.ts'
import {
  confirms,
  copiesIn,
  fenceAll,
  type ImaginedReplicas,
  leaderIn,
  leadUnder,
  startAgain,
  viewOf,
} from './imagined-replicas.ts'
import type { Situation } from './situation.ts'

export interface Replicated {
  /** Who leads in the end, whether or not its writes are confirmed. */
  readonly primary: NodeName | null
  readonly writes: boolean
  /** Which node answers reads while no write is acknowledged; null when none does, and when writes go on. */
  readonly reads: NodeName | null
  /** It goes on without a standby to confirm: the loss of this replica is the loss of all that was written since. */
  readonly alone: boolean
  readonly order: Course['order']
  readonly evidence: Course['evidence']
  /** From the failure until writes are acknowledged, at most; 0 when they always were; null when they never are. */
  readonly pauseMs: number | null
  /** Why no write is acknowledged; empty when they are. */
  readonly why: string
  readonly done: readonly Done[]
}

/** A term that was won without electing a primary is tried again so often. */
const TERMS = 3
/** More than any way from one quorum to another has: three steps for each standby and each count. */
const RULE_STEPS = 40

/** Undefined where it never had a primary. */
export function replicatedAfter(situation: Situation, spec: ServiceSpec): Replicated | undefined {
  const copies = copiesIn(situation, spec)
  if (!copies) return undefined
  const { assumed } = situation.setting
  const progress: Progress = { copies, pauseMs: 0, order: [], evidence: 'none', done: [] }
  let confirmed = confirms(copies)
  for (let term = 0; term < TERMS && takeOver(progress, 0); term += 1) confirmed = confirms(copies)
  if (startAgain(copies).length > 0) {
    const backMs = assumed.noticeMs + assumed.startMs
    if (!confirmed && confirms(copies)) progress.pauseMs = backMs
    for (let term = 0; term < TERMS && takeOver(progress, backMs); term += 1) confirmed = confirms(copies)
    confirmed ||= confirms(copies)
  }
  changeQuorums(progress)
  if (!confirmed && confirms(copies)) progress.pauseMs = situation.hearing.lostAfterMs + TAKEOVER_MS
  return resultOf(progress)
}

interface Progress {
  readonly copies: ImaginedReplicas
  pauseMs: number
  order: readonly NodeName[]
  evidence: Course['evidence']
  readonly done: Done[]
}

/**
 * Has the primary failed, and is there a replica that may and can follow it? False when no node takes a term, or no
 * replica is elected in it.
 */
function takeOver(progress: Progress, sinceMs: number): boolean {
  const { copies } = progress
  const { service, situation } = copies
  const won = asked(copies, primaryFailed)
  if (!won) return false
  const rto = expectedRto(won.view, service)
  const isSeen = won.problem.evidence === 'first-hand'
  const seenMs = situation.setting.assumed.noticeMs + (rto?.ifPrimaryDiesMs ?? TAKEOVER_MS)
  const backMs = sinceMs + (isSeen ? seenMs : (rto?.ifNodeIsLostMs ?? TAKEOVER_MS))
  apply(progress, won, backMs - TAKEOVER_MS)
  fenceAll(copies, won.view.self, copies.record.term)
  const chosen = asked(copies, elect)
  if (!chosen) return false
  const aloneMs = chosen.step.record.replica?.quorumConfigs.at(-1)?.standbys.length === 0 ? OTHERS_WITHIN_MS : 0
  apply(progress, chosen, backMs - TAKEOVER_MS + aloneMs)
  const quorum = newestConfig(copies.record)
  leadUnder(copies, quorum)
  progress.evidence = isSeen ? 'first-hand' : 'silence'
  progress.order = [quorum.primary, ...quorum.standbys]
  progress.pauseMs = backMs + aloneMs
  if (confirms(copies)) {
    copies.record = {
      ...copies.record,
      replica: { phase: 'serving', by: copies.record.replica.by, quorumConfigs: [quorum] },
    }
  }
  return true
}

/**
 * The primary takes out standbys that are gone and takes in those that are back, as far as the ones that are left can
 * confirm it.
 */
function changeQuorums(progress: Progress): void {
  const { copies } = progress
  const { hearing } = copies.situation
  copies.silentForMs = hearing.lostAfterMs
  let waits = false
  for (let count = 0; count < RULE_STEPS; count += 1) {
    const leader = leaderIn(copies)
    if (leader === undefined) return
    const view = viewOf(copies, leader)
    const [problem] = configChange(view)
    const [step] = problem?.steps ?? []
    if (!problem || !step) return
    if (step.kind === 'record') {
      apply(progress, { view, problem, step }, hearing.lostAfterMs)
      waits = false
    } else if (step.kind === 'change-quorum' && !waits) {
      waits = !confirms(copies, step.quorum)
      if (!waits) {
        copies.inForce = step.quorum
        copies.durable = true
      }
    } else return
  }
}

interface Answer {
  readonly view: View
  readonly problem: Problem
  readonly step: Step & { kind: 'record' }
}

/** The first living node that would write something to the record about it. */
function asked(copies: ImaginedReplicas, find: Finder): Answer | undefined {
  const { setting, hearing } = copies.situation
  for (const { name } of setting.cluster.nodes) {
    if (!hearing.reachesStore(name)) continue
    const view = viewOf(copies, name)
    for (const problem of find(view)) {
      const [step] = problem.steps
      if (step?.kind === 'record') return { view, problem, step }
    }
  }
  return undefined
}

function apply({ copies, done }: Progress, { view, problem, step }: Answer, atMs: number): void {
  const { replica } = step.record
  if (!replica) return
  copies.record = { ...step.record, replica, revision: copies.record.revision + 1 }
  done.push({ atMs, node: view.self, step, rule: problem.rule, why: problem.why })
}

function resultOf({ copies, pauseMs, order, evidence, done }: Progress): Replicated {
  const { situation, service, inForce } = copies
  const primary = leaderIn(copies) ?? null
  const writes = confirms(copies)
  const alone = writes && inForce?.k === 0 && service.instances > 1
  const common = { primary, writes, alone, order, evidence, done }
  if (writes) return { ...common, reads: null, pauseMs, why: '' }
  const living = situation.setting.cluster.nodes.map(({ name }) => name).filter((node) => situation.hearing.lives(node))
  const observer = primary ?? living.find((node) => situation.hearing.reachesStore(node)) ?? living[0]
  const found = observer === undefined ? undefined : readOnlyOf(viewOf(copies, observer), service)
  const noStore = situation.hearing.storeAnswers ? 'there is no primary' : 'the store is away'
  const otherwise = primary === null ? noStore : `${primary} is primary, and too few standbys confirm its writes`
  return { ...common, reads: found?.reads ?? null, pauseMs: null, why: found?.why ?? otherwise }
}
