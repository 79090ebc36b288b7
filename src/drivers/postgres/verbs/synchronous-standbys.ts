/**
 * A `QuorumConfig` as PostgreSQL understands it, and the way from one to the next.
 *
 * While a quorum changes, one node may recruit by the old config and another by the new one, so every acknowledgement
 * on the way must be safe under both. PostgreSQL cannot say "this quorum and that one", so a change goes in steps of
 * one standby or one count, for which a single setting satisfies both sides:
 *
 *     a standby comes in    the row first, then the setting     k of the old standbys are k of the new ones
 *     a standby goes out    the setting first, then the row     k of the remaining are k of the old ones
 *     k grows               the setting first, then the row     k + 1 are also k
 *     k shrinks             the row first, then the setting     and never because a standby merely seems dead (trap 10)
 *     k shrinks to none     the setting first, then the row     no standby is left that could confirm the row: it would wait
 *                                                               for ever. The record has the new config before the server
 *                                                               learns of it, and only its own primary beats it
 *
 * The orders are those of Patroni's quorum commit (patroni/quorum.py). The row is durable under the setting of its
 * moment, so a node that recruits enough standbys for the older config finds the newer one on at least one of them.
 */
import type { QuorumConfig } from '../../../core/replicated/quorum-config.ts'
import { assert } from '../../../lib/assert.ts'

/** The value of synchronous_standby_names. */
export function synchronousStandbyNames({ standbys, k }: Pick<QuorumConfig, 'standbys' | 'k'>): string {
  if (k === 0 || standbys.length === 0) return ''
  for (const name of standbys) {
    // `*` means every standby, even between quotes: the arithmetic would be void (trap 6).
    assert(name !== '*' && name !== '', `a replica cannot be called "${name}"`)
  }
  return `ANY ${k} (${standbys.map((name) => `"${name.replaceAll('"', '""')}"`).join(', ')})`
}

export interface QuorumStep {
  readonly quorum: QuorumConfig
  readonly first: 'setting' | 'row'
}

/** The steps from one config of a primary to another one of the same term; empty when nothing changes. */
export function stepsBetween(from: QuorumConfig, to: QuorumConfig): readonly QuorumStep[] {
  assert(from.primary === to.primary && from.term === to.term, 'only a promotion changes primary and term')
  assert(to.k >= 0 && to.k <= to.standbys.length, `k = ${to.k} of ${to.standbys.length} standbys cannot be had`)
  const steps: QuorumStep[] = []
  let standbys = from.standbys
  let k = from.k
  const take = (first: QuorumStep['first']) => steps.push({ quorum: { ...to, standbys, k }, first })
  for (const name of to.standbys.filter((node) => !from.standbys.includes(node))) {
    standbys = [...standbys, name]
    take('row')
  }
  // k grows while all are in, and shrinks before any goes: there is never a config with k > n on the way.
  while (k < to.k) {
    k += 1
    take('setting')
  }
  while (k > to.k) {
    k -= 1
    take(k === 0 ? 'setting' : 'row')
  }
  for (const name of from.standbys.filter((node) => !to.standbys.includes(node))) {
    standbys = standbys.filter((node) => node !== name)
    take('setting')
  }
  return steps
}
