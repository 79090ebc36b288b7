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
import type { NodeName, Term } from '../names.ts'

export interface QuorumConfig {
  readonly term: Term
  readonly primary: NodeName
  /** The synchronous standbys by node name; never the primary. */
  readonly standbys: readonly NodeName[]
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
  readonly recruited: boolean
  readonly position: Position | null
  /** Received and not yet replayed: what a promotion has to wait for. */
  readonly replayLagBytes: number
  /**
   * Of a primary: the newest rule that is in force here and whose row is durable on its own quorum; null before that. Of a
   * standby: the newest rule in its copy, as far as it is replayed (`replayLagBytes`); null where that is not known.
   */
  readonly quorum: QuorumConfig | null
  /** Primary only: a rule of its present term is durable on its quorum. Before that nobody may be let in. */
  readonly quorumDurable: boolean
  /** Primary only: who streams from it, and how far behind. */
  readonly streaming: readonly { readonly node: NodeName; readonly lagBytes: number }[]
  /** Standby only: whom it receives from. */
  readonly receivingFrom: NodeName | null
  /** Standby only: how long ago the server that it receives from gave a sign of life, whatever its agent does. Absent: not known. */
  readonly heardAgoMs?: number
  /** Standby only: why it could not lead as it is. Absent: it could. It still confirms writes, and may vote. */
  readonly unfit?: Unfit
  /** Rewound or freshly cloned and not yet caught up: it may be neither counted nor chosen. */
  readonly quarantined: boolean
  /** It led until it was fenced, or is known to have diverged: `follow` finds out, and rewinds or clones where it has to. */
  readonly diverged: boolean
}

export interface Unfit {
  /** A sentence. */
  readonly why: string
  /** When it is started anew it can lead; otherwise an operator has to do something, and a restart might undo what he did. */
  readonly restartHelps: boolean
}

/**
 * `switching-over`: the primary is about to end leading on purpose, and still may go on. `recruiting`: members pledge and are fenced. `promoting`: the last of
 * `rules` is to be led under by its primary, and may be in force already. `serving`: it is.
 */
export type Phase = 'switching-over' | 'recruiting' | 'promoting' | 'serving'

/** The part of a service's record that is about its copies. The record's `term` is the one that is led in or being won. */
export interface ReplicaRecord {
  readonly phase: Phase
  /** Who won the record's term by compare-and-swap. It goes first; anybody else may go on with what it began. */
  readonly by: NodeName
  /**
   * Every rule under which something may have been acknowledged and which no later one has replaced for certain, oldest
   * first. A rule stands here before any server hears of it, and leaves only when a later one is durable on its quorum. So
   * whoever beats all of these has every acknowledged write (quorum.ts).
   */
  readonly quorumConfigs: readonly QuorumConfig[]
  /** Why the last handover was called off; until the next one begins. */
  readonly calledOff?: string
}

/** What the config says about the copies of a service. */
export interface Replication {
  /** How many standbys must have a write before it is acknowledged; fewer only while there are fewer members. */
  readonly k: number
  /** What the config asks for instead of half of the servers, for whatever number of them. */
  readonly sync?: number
  /** When no standby is left: `block` writes until there is one, or `run-alone` with a single copy. */
  readonly degrade: 'block' | 'run-alone'
  /** A standby that is further behind answers no reads through the doors, in bytes of log; absent: any may. */
  readonly maxLagBytes?: number
  /** The first copy is one that is there already: whoever has data may make the beginning, and nobody else. */
  readonly adopts?: true
}

/** Who must confirm a write, as PostgreSQL writes it: `ANY 1 (b, c)`. */
export function standbysText({ standbys, k }: Pick<QuorumConfig, 'standbys' | 'k'>): string {
  return standbys.length === 0 ? 'none' : `ANY ${k} (${standbys.join(', ')})`
}
