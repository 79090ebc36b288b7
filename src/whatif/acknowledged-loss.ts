/**
 * Can an acknowledged write be lost? Only a service that replicates has an answer, and it is arithmetic
 * (core/replicated/quorum.ts): a write is acknowledged when the primary and k of its n standbys have it, and no replica
 * takes over before n - k + 1 of those are recruited. So a failover loses nothing; what is left is whether every
 * replica that has a write was on machines that are gone for good.
 */
import type { ServiceSpec } from '../core/model.ts'
import type { QuorumConfig } from '../core/replicated/quorum-config.ts'
import type { Replicated } from './replicated-outcome.ts'
import type { Situation } from './situation.ts'

export type Loss =
  /** Nothing of it is replicated: what a program keeps on its node's disk is its own business. */
  | 'n/a'
  | 'none'
  /** Every replica that had some acknowledged write may have been on what is gone: lost unless its disks come back. */
  | 'if-disks-are-gone'
  /** The same with k of 0: the primary alone had what it acknowledged, and it is gone. */
  | 'possible'

/** The quorum in force before the failure: the primary, the standbys, and how many of them must have a write. */
export function ruleBefore(calm: Situation, service: ServiceSpec): QuorumConfig | undefined {
  return calm.records.get(service.name)?.replica?.quorumConfigs.at(-1)
}

export function lossAfter(situation: Situation, service: ServiceSpec, after: Replicated | undefined): Loss {
  if (!service.traits.replicates) return 'n/a'
  const quorum = situation.calm ? ruleBefore(situation.calm, service) : undefined
  // The present primary is the old one or had everything: no other can be elected.
  if (!quorum || !after || after.primary !== null || situation.hearing.lives(quorum.primary)) return 'none'
  if (quorum.k === 0) return 'possible'
  const holdersGone = quorum.standbys.filter((node) => !situation.hearing.lives(node)).length
  return holdersGone >= quorum.k ? 'if-disks-are-gone' : 'none'
}
