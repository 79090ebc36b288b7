/**
 * The arithmetic that takes the place of a lease. All of it is about three sets of nodes:
 *
 *     S         the standbys of a config: n of them
 *     a quorum  any k of S: those that had a write when it was acknowledged
 *     F         the recruits: pledged to a higher term, receiving nothing, and only then asked for a position
 *
 *     |F ∩ S| >= n - k + 1
 *
 * One inequality, two promises. Nothing missed: n - k + 1 of n and k of n always share a standby, so one of F has each
 * acknowledged write, and the furthest of F has all of them. Nothing more: at most k - 1 of S can still receive, which
 * is no quorum, so the old primary will never acknowledge again; whether it is dead, paused or disconnected does not
 * matter.
 *
 * Two more ways to beat a config. Its own primary is in F: it had everything it acknowledged and has stopped. Or one of
 * F has WAL of a later term: that term's election beat this config already, and its WAL begins with all that was found
 * then.
 *
 * A config with k = 0 can be beaten by its own primary only: n + 1 standbys cannot be had. That is what running alone
 * means.
 *
 * "Further" is (term, position), as in Raft: more WAL on an older branch holds what was never acknowledged and must
 * lose.
 */
import type { NodeName } from '../model.ts'
import type { Position, QuorumConfig } from './quorum-config.ts'

/** A replica that is recruited in the term being won, and may vote: not rewound or cloned without having caught up since. */
export interface Recruited {
  readonly node: NodeName
  readonly position: Position
}

/** How many standbys must be recruited before the primary can neither have nor get an acknowledged write that they lack. */
export function recruitsNeeded(quorum: Pick<QuorumConfig, 'standbys' | 'k'>): number {
  return quorum.standbys.length - quorum.k + 1
}

/** Do these hold everything that was, or ever will be, acknowledged under `quorum`? */
export function beats(recruited: readonly Recruited[], quorum: QuorumConfig): boolean {
  if (recruited.some(({ node, position }) => node === quorum.primary && position.term >= quorum.term)) return true
  if (recruited.some(({ position }) => position.term > quorum.term)) return true
  return recruited.filter(({ node }) => quorum.standbys.includes(node)).length >= recruitsNeeded(quorum)
}

export function beatsAll(recruited: readonly Recruited[], quorumConfigs: readonly QuorumConfig[]): boolean {
  return quorumConfigs.every((quorum) => beats(recruited, quorum))
}

/** Negative: `a` is behind `b`. */
export function comparePositions(a: Position, b: Position): number {
  if (a.term !== b.term) return a.term - b.term
  const [logA, logB] = [BigInt(a.log), BigInt(b.log)]
  return logA < logB ? -1 : Number(logA > logB)
}

/** All that are as far as the furthest: any of them may lead. */
export function furthest(recruited: readonly Recruited[]): readonly Recruited[] {
  return recruited.filter(({ position }) => recruited.every((other) => comparePositions(other.position, position) <= 0))
}

/** Half of the servers, rounded down, have every acknowledged write besides the primary: 1 of 3, 2 of 5, 3 of 7. */
export function defaultK(servers: number): number {
  return Math.floor(servers / 2)
}

/**
 * The next config on the way to these standbys and this k, one standby or one count away; undefined when it is there.
 * Standbys come in first and go out last, so that k never asks for more than there are. Several small changes instead
 * of one large one, because while a change is under way a recruitment must beat both configs, and one step apart that
 * costs one node at most.
 */
export function stepTowards(quorum: QuorumConfig, standbys: readonly NodeName[], k: number): QuorumConfig | undefined {
  const comesIn = standbys.find((node) => !quorum.standbys.includes(node))
  if (comesIn !== undefined) return { ...quorum, standbys: [...quorum.standbys, comesIn] }
  if (quorum.k < k) return { ...quorum, k: quorum.k + 1 }
  if (quorum.k > k) return { ...quorum, k: quorum.k - 1 }
  const goesOut = quorum.standbys.find((node) => !standbys.includes(node))
  if (goesOut !== undefined) return { ...quorum, standbys: quorum.standbys.filter((node) => node !== goesOut) }
  return undefined
}

export function sameConfig(a: QuorumConfig | null | undefined, b: QuorumConfig | null | undefined): boolean {
  if (!a || !b) return false
  return a.id === b.id && a.term === b.term && a.k === b.k && a.standbys.join() === b.standbys.join()
}
