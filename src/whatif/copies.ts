/**
 * Can an acknowledged write be lost? Only a service that replicates has an answer, and it is arithmetic (core/replica.ts): a
 * write is acknowledged when the primary and k of its n synchronous standbys have it, and nobody may take over before
 * n - k + 1 of those have stopped receiving. So a takeover that happens by itself loses nothing unless k is 0; what is left is
 * whether writes can go on, and whether every copy of a write was on machines that are gone for good.
 */
import type { NodeName, ServiceSpec } from '../core/model.ts'
import { defaultK, fencedNeeded } from '../core/quorum.ts'
import type { Rule } from '../core/replica.ts'
import { at, type Situation } from './situation.ts'

export type Loss =
  /** Nothing of it is replicated: what a program keeps on its node's disk is its own business. */
  | 'n/a'
  | 'none'
  /** Every copy of some acknowledged write may have been on what is gone: lost unless its disks come back. */
  | 'if-disks-are-gone'
  /** A successor may lack writes that were acknowledged. */
  | 'possible'

export interface Copies {
  readonly loss: Loss
  readonly writes: boolean
  /** Why writes stop or may be lost; empty when all is well. */
  readonly why: string
}

/** The rule in force before the failure: who leads, which nodes hold copies, and how many of them must have a write. */
export function ruleBefore(calm: Situation, service: ServiceSpec): Rule | undefined {
  const primary = calm.records.get(service.name)?.primary
  if (primary === null || primary === undefined) return undefined
  const nodes = calm.setting.cluster.nodes.map(({ name }) => name)
  const copies = nodes.filter((name) => calm.instances.has(at(name, service.name)))
  const members = copies.filter((name) => name !== primary)
  return { term: 1, primary, members, k: kOf(service), id: 'before' }
}

/** What the driver's options say, else the default for so many servers. */
export function kOf({ replication, options, instances }: ServiceSpec): number {
  if (replication) return replication.k
  return typeof options.k === 'number' ? options.k : defaultK(instances)
}

/** `primary`: who leads now, if anybody does. */
export function copiesAfter(situation: Situation, service: ServiceSpec, primary: NodeName | undefined): Copies {
  if (!service.traits.replicates || !situation.calm) return { loss: 'n/a', writes: primary !== undefined, why: '' }
  const rule = ruleBefore(situation.calm, service)
  if (!rule) return { loss: 'none', writes: false, why: 'it has no primary' }
  const { hearing } = situation
  const gone = [rule.primary, ...rule.members].filter((node) => !hearing.lives(node))
  const holdersGone = gone.filter((node) => node !== rule.primary).length
  const allGone = gone.includes(rule.primary) && rule.k > 0 && holdersGone >= rule.k
  const spared: Loss = allGone ? 'if-disks-are-gone' : 'none'
  if (primary === undefined) return { loss: spared, writes: false, why: 'nobody leads' }
  const hearsMe = rule.members.filter((node) => node !== primary && hearing.hears(primary, node)).length
  if (primary === rule.primary) return { loss: 'none', ...writable(hearsMe, rule.k) }
  const fenced = hearsMe + Number(rule.members.includes(primary))
  const needed = fencedNeeded(rule)
  if (rule.k === 0)
    return { loss: 'possible', writes: true, why: 'k is 0: a write is acknowledged before anybody else has it' }
  if (fenced < needed) {
    const why = `${needed} of its ${rule.members.length} standbys must be fenced before one takes over, and ${fenced} can be`
    return { loss: spared, writes: false, why }
  }
  return { loss: spared, ...writable(hearsMe, rule.k) }
}

function writable(copies: number, k: number): { readonly writes: boolean; readonly why: string } {
  if (copies >= k) return { writes: true, why: '' }
  return { writes: false, why: `a write needs ${k} other ${k === 1 ? 'copy' : 'copies'}, and ${copies} can be reached` }
}
