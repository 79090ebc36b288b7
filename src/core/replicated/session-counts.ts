/**
 * What became of the sessions of clients when a service changed its primary, as a balancer counts it. A session that is
 * idle between statements is moved and notices nothing; one that cannot be moved is closed, and the reason is counted.
 */
import type { ServiceName, Term } from '../names.ts'

/** Why a session was closed instead of moved. */
export type CutReason =
  /** A transaction was open: what it had done is gone with the old primary. */
  | 'in-transaction'
  /** A statement was on its way: whether it was executed cannot be known. */
  | 'in-statement'
  | 'temporary-table'
  | 'holdable-cursor'
  | 'advisory-lock'
  | 'copy'
  /** The login left nothing to log in with again: md5 answers are bound to one server's challenge. */
  | 'md5-login'
  /** The key of the login could not be learnt. */
  | 'no-key'
  /** The new primary refused the login. */
  | 'login-refused'
  /** The new primary refused a setting, a statement to prepare or a channel to listen on. */
  | 'settings-refused'
  /** Something may have changed what the session has, and its server was lost before it could be asked. */
  | 'state-unknown'
  /** `currval` or `lastval` was asked for after the session had been moved. */
  | 'sequence-value'
  /** No primary in time. */
  | 'hold-expired'
  /** Too many were held already. */
  | 'hold-full'
  | 'replication'

/** As an operator may relax how sessions are moved. */
export interface SessionOptions {
  /** Custom settings of which no text shows the name. */
  readonly customSettings: readonly string[]
  /** Functions that leave nothing in a session, whatever their bodies seem to say. */
  readonly trustedFunctions: readonly string[]
  /** What becomes of a session of which something cannot be known. */
  readonly whenUnknown: 'close' | 'move'
}

/** Reported once per change of primary that a balancer lived through, when it holds nothing of it any more. */
export interface SessionTally {
  readonly service: ServiceName
  /** The term that the sessions were moved to. */
  readonly term: Term
  readonly held: number
  readonly moved: number
  readonly cut: Readonly<Partial<Record<CutReason, number>>>
  readonly longestHoldMs: number
}
