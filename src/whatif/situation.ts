/**
 * What is so at one moment of an imagined failure: which processes run, what the store holds, who hears whom. It stands
 * where network, processes and store stand in a real cluster, and it decides nothing: what the agents do about it is
 * decided by core/decide.ts, on the views that views.ts makes of it.
 *
 * It is much less than the simulator: nothing is random, nothing is late, messages arrive. That is what makes it quick
 * enough for every pair of failures, and why test/whatif-sim.test.ts holds its answers against the simulator's.
 */

import { killAt } from '../core/lease.ts'
import type { InstanceReport, NodeName, NodeReport, ServiceName } from '../core/model.ts'
import type { LeadRecord, ServiceRecord } from '../core/records.ts'
import type { Step } from '../core/step.ts'
import type { Revised } from '../core/store-facts.ts'
import type { HeldLease } from '../core/view.ts'
import { type Effect, NOTHING } from './failure.ts'
import type { Setting } from './question.ts'
import { type Hearing, hearingAfter } from './who-hears-whom.ts'

export interface Situation {
  readonly setting: Setting
  readonly effect: Effect
  readonly hearing: Hearing
  /** Before anything failed: what silent peers said last, and what those without the store read last. */
  readonly calm: Situation | null
  nowMs: number
  /** When the failure happened. */
  readonly failedAtMs: number
  readonly records: Map<ServiceName, Revised<ServiceRecord>>
  readonly leads: Map<ServiceName, LeadRecord>
  readonly freeSince: Map<ServiceName, number>
  /** By `node service`. Ages in here are of the moment when they were written; `sinceMs` tells it. */
  readonly instances: Map<string, Instance>
  /** By `node service`: the leases that a node counts. `endsAtMs` is infinite while it can renew. */
  readonly held: Map<string, { readonly term: number; readonly endsAtMs: number }>
  readonly busy: Map<string, Step['kind']>
  /** Of a calm situation: what each node says, once it was asked for. */
  readonly lastReports: Map<NodeName, NodeReport>
  /** Moments at which something happens or a node should look again, in no order. */
  readonly due: Due[]
}

export interface Instance {
  readonly report: InstanceReport
  readonly sinceMs: number
}

export interface Due {
  readonly atMs: number
  readonly happen: () => void
  /** A moment that no node needs any more when it comes is left out. */
  readonly matters: () => boolean
}

export const at = (node: NodeName, service: ServiceName): string => `${node} ${service}`

/** All nodes up and nothing started yet. */
export function emptySituation(setting: Setting): Situation {
  return {
    setting,
    effect: NOTHING,
    hearing: hearingAfter(setting, NOTHING),
    calm: null,
    nowMs: 0,
    failedAtMs: 0,
    records: new Map(),
    leads: new Map(),
    freeSince: new Map(setting.cluster.services.map(({ name }) => [name, 0])),
    instances: new Map(),
    held: new Map(),
    busy: new Map(),
    lastReports: new Map(),
    due: [],
  }
}

/** How long a calm cluster has been so when something fails: long enough that every start is forgotten. */
const CALM_FOR_MS = 3_600_000

/** The same cluster at the moment at which all of `effect` happens at once. */
export function failedSituation(calm: Situation, effect: Effect): Situation {
  const nowMs = calm.nowMs + CALM_FOR_MS
  const situation: Situation = {
    ...calm,
    effect,
    hearing: hearingAfter(calm.setting, effect),
    calm,
    nowMs,
    failedAtMs: nowMs,
    records: new Map(calm.records),
    leads: new Map(calm.leads),
    freeSince: new Map(calm.freeSince),
    instances: new Map(calm.instances),
    held: new Map(calm.held),
    busy: new Map(),
    lastReports: new Map(),
    due: [],
  }
  for (const key of calm.instances.keys()) {
    const node = key.slice(0, key.indexOf(' '))
    if (!situation.hearing.lives(node)) situation.instances.delete(key)
  }
  for (const key of effect.instances) endInstance(situation, key, 'was killed', 1)
  loseLeases(situation)
  wakeForSilence(situation)
  return situation
}

export function endInstance(situation: Situation, key: string, note: string, failures: number): void {
  const { instances, nowMs } = situation
  const before = instances.get(key)
  if (!before) return
  const { pid: _pid, startTime: _startTime, port: _port, ...rest } = before.report
  const ended = { ...rest, role: 'none', state: 'stopped', health: 'unknown', note, failures } as const
  instances.set(key, { report: ended, sinceMs: nowMs })
}

export function after(situation: Situation, ms: number, happen: () => void, matters = () => true): void {
  situation.due.push({ atMs: situation.nowMs + ms, happen, matters })
}

/** A lead became free: every node's turn to take it comes at a moment of its own. */
export function leadFreed(situation: Situation, service: ServiceName): void {
  const { cluster } = situation.setting
  situation.leads.delete(service)
  situation.freeSince.set(service, situation.nowMs)
  const isFree = () => !situation.leads.has(service)
  for (const index of cluster.nodes.keys()) {
    // A node that waits for its turn looks again with its next heartbeat, at the latest.
    const waitMs = index === 0 ? 0 : index * cluster.timing.staggerMs + cluster.timing.heartbeatMs
    after(situation, waitMs, () => undefined, isFree)
  }
}

export function heldLease(situation: Situation, node: NodeName, service: ServiceName): HeldLease | undefined {
  const lease = situation.held.get(at(node, service))
  return lease && { term: lease.term, endsInMs: lease.endsAtMs - situation.nowMs }
}

/**
 * Who cannot reach the store cannot renew. The store frees such a lead one lease after the last renewal, which is taken to
 * have come just before the failure: the longest that it can take. The holder, if it lives, counts from earlier.
 */
function loseLeases(situation: Situation): void {
  const { leads, hearing, held, setting, nowMs } = situation
  for (const [service, { node }] of leads) {
    if (hearing.reachesStore(node)) continue
    const { leaseMs = 0 } = setting.cluster.services.find(({ name }) => name === service)?.timing ?? {}
    if (hearing.storeAnswers) after(situation, leaseMs, () => leadFreed(situation, service))
    if (!hearing.lives(node)) continue
    const key = at(node, service)
    const lease = held.get(key)
    if (lease) held.set(key, { ...lease, endsAtMs: nowMs + leaseMs })
    after(situation, leaseMs / 2, () => undefined)
    after(situation, killAt({ id: '', ttlMs: leaseMs, endsAt: leaseMs }), () => {
      held.delete(key)
      endInstance(situation, key, 'its lease ended', 1)
    })
  }
}

/** Silence is not noticed at once: nodes look when it is suspicious, and when it has lasted. */
function wakeForSilence(situation: Situation): void {
  const { hearing, effect } = situation
  if (effect.nodes.length + effect.cuts.length === 0) return
  after(situation, hearing.suspectAfterMs, () => undefined)
  after(situation, hearing.lostAfterMs, () => undefined)
}
