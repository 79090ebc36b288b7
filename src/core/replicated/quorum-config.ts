/**
 * The words of a replicated service: one primary, its standbys, and a `QuorumConfig` that says how many of them must
 * have a write before it may be acknowledged.
 *
 *     (term, primary P, standbys S, k):  P acknowledges a write only when k of S have it durably.
 *
 * To take over from P, stop n - k + 1 of S (n = |S|) from receiving, and only then ask each for its position. Any such
 * set meets every set of k, so the furthest of them has every acknowledged write; and what is left of S is smaller than
 * k, so P can never acknowledge another one: dead, paused or disconnected, and without waiting for any clock. This is
 * the revoke half of generalised consensus as in Vitess and Multigres; docs/safety.md has the argument in full.
 */
import type { NodeName, Term } from '../names.ts'

export interface QuorumConfig {
  readonly term: Term
  readonly primary: NodeName
  /** The synchronous standbys by node name; never the primary. */
  readonly standbys: readonly NodeName[]
  /** How many of `standbys` must have a write durably before it is acknowledged. 0: none, which is reported. */
  readonly k: number
  /** Unique for each promotion: timeline ids are not (two promotions can both make timeline 2). */
  readonly id: string
}

/** How far a replica is. Compared by `term` first: more WAL on an old branch must lose. */
export interface Position {
  /** The newest term whose quorum config this replica has durably. */
  readonly term: Term
  readonly timeline: number
  /** The WAL position in bytes, as a decimal number in a string: 64 bits do not fit a JavaScript number. */
  readonly log: string
}

/** What the driver of a replicated service reports in addition (InstanceReport.replica). */
export interface ReplicaReport {
  /** This replica has durably pledged to accept nothing from a primary of a lower term. */
  readonly pledged: Term
  /** Since that pledge it receives from no primary, verified; `position` was read after that. */
  readonly recruited: boolean
  readonly position: Position | null
  /** Received and not yet replayed: what a promotion has to wait for. */
  readonly replayLagBytes: number
  /**
   * Of a primary: the newest config that is in force here and whose row is durable on its own quorum; null before that.
   * Of a standby: the newest config in its data, as far as it is replayed (`replayLagBytes`); null where that is not
   * known.
   */
  readonly quorum: QuorumConfig | null
  /** Primary only: a quorum row of its present term is durable. Before that no client may be admitted. */
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
  /**
   * It was primary until it was fenced, or is known to have diverged: `follow` finds out, and rewinds or clones where
   * it has to.
   */
  readonly diverged: boolean
}

export interface Unfit {
  /** A sentence. */
  readonly why: string
  /** When it is started anew it can lead; otherwise an operator has to do something, and a restart might undo what he did. */
  readonly restartHelps: boolean
}

/**
 * `switching-over`: the primary is about to end on purpose, and can still go on. `recruiting`: replicas pledge and
 * report their positions. `promoting`: the primary of the last of `quorumConfigs` is to be promoted, and that config
 * may be in force already. `serving`: it is.
 */
export type Phase = 'switching-over' | 'recruiting' | 'promoting' | 'serving'

/** The part of a service's record that is about its replicas. The record's `term` is the current one or the one being won. */
export interface ReplicaRecord {
  readonly phase: Phase
  /** The node that won the record's term by compare-and-swap. It goes first; any other may continue what it began. */
  readonly by: NodeName
  /**
   * Every config under which something may have been acknowledged and which no later one has replaced for certain,
   * oldest first. A config is recorded here before any server learns of it, and leaves only when a later one is durable
   * on its quorum. So a set of recruits that beats all of these has every acknowledged write (quorum.ts).
   */
  readonly quorumConfigs: readonly QuorumConfig[]
  /** Why the last switchover was called off; until the next one begins. */
  readonly calledOff?: string
}

/** What the config says about the replicas of a service. */
export interface Replication {
  /** How many standbys must have a write before it is acknowledged; fewer only while there are fewer standbys. */
  readonly k: number
  /** What the config asks for instead of half of the servers, for whatever number of them. */
  readonly sync?: number
  /** When no standby is left: `block` writes until there is one, or `run-alone` with a single replica. */
  readonly degrade: 'block' | 'run-alone'
  /** A standby that is further behind, in bytes of WAL, answers no reads through the balancers; absent: any may. */
  readonly maxLagBytes?: number
  /** The first replica exists already: only a node that has data may begin. */
  readonly adopts?: true
}

/** Who must confirm a write, as PostgreSQL writes it: `ANY 1 (b, c)`. */
export function standbysText({ standbys, k }: Pick<QuorumConfig, 'standbys' | 'k'>): string {
  return standbys.length === 0 ? 'none' : `ANY ${k} (${standbys.join(', ')})`
}
