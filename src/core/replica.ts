/**
 * The words of a replicated service: one primary, standbys that hold copies, and a rule that says how many of them must
 * have a write before it may be acknowledged.
 *
 *     rule r = (term, primary P, members S, k):  P acknowledges a write only when k members of S have it durably.
 *
 * To take over from P, stop n - k + 1 members of S (n = |S|) from receiving, and only then ask each how far it is. Any such
 * set meets every set of k, so the furthest of them has every acknowledged write; and what is left of S is smaller than k,
 * so P can never acknowledge another one: dead, paused or cut off, and without waiting for any clock. This is the revoke
 * half of generalised consensus as in Vitess and Multigres; docs/safety.md has the argument in full.
 */
import type { NodeName, Term } from './model.ts'

export interface Rule {
  readonly term: Term
  readonly primary: NodeName
  /** The synchronous standbys by node name; never the primary. */
  readonly members: readonly NodeName[]
  /** How many of `members` must have a write durably before it is acknowledged. 0: nobody, said loudly. */
  readonly k: number
  /** Unique for each promotion: timeline ids are not (two promotions can both make timeline 2). */
  readonly id: string
}

/** How far a copy is. Compared by `term` first: a longer log on an old branch must lose. */
export interface Position {
  /** The newest term whose rule this copy has durably. */
  readonly term: Term
  readonly timeline: number
  /** Bytes of log, as a decimal number in a string: 64 bits do not fit a JavaScript number. */
  readonly log: string
}

/** What the driver of a replicated service reports in addition (InstanceReport.replica). */
export interface ReplicaReport {
  /** This member has promised, durably, to help no primary of a lower term. */
  readonly pledged: Term
  /** Since that pledge nothing is received from anybody, verified; `position` was read after that. */
  readonly fenced: boolean
  readonly position: Position | null
  /** Received and not yet replayed: what a promotion has to wait for. */
  readonly replayLagBytes: number
  /**
   * Of a primary: the rule in force. Of a standby: the newest rule in its copy, as far as it is replayed (`replayLagBytes`);
   * a fence by an older rule that finds a newer one here must satisfy both.
   */
  readonly rule: Rule | null
  /** Primary only: the row of the rule is durable on its quorum, and clients may be let in. */
  readonly ruleDurable: boolean
  /** Primary only: who streams from it, and how far behind. */
  readonly streaming: readonly { readonly node: NodeName; readonly lagBytes: number }[]
  /** Standby only: whom it receives from. */
  readonly receivingFrom: NodeName | null
  /** Rewound or freshly cloned and not yet caught up: it may be neither counted nor chosen. */
  readonly quarantined: boolean
  /** It led until it was fenced, or is known to have diverged: `follow` finds out, and rewinds or clones where it has to. */
  readonly diverged: boolean
}

/** How many members must be fenced before a new primary may be chosen. */
export function fencedNeeded(rule: Rule): number {
  return rule.members.length - rule.k + 1
}

/** Negative: `a` is behind `b`. */
export function comparePositions(a: Position, b: Position): number {
  if (a.term !== b.term) return a.term - b.term
  const [logA, logB] = [BigInt(a.log), BigInt(b.log)]
  return logA < logB ? -1 : Number(logA > logB)
}

/** Half of the servers, rounded down, have every acknowledged write besides the primary: 1 of 3, 2 of 5, 3 of 7. */
export function defaultK(servers: number): number {
  return Math.floor(servers / 2)
}
