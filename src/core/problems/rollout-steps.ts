/** What the two finders of rolling changes say alike. */
import type { ServiceSpec } from '../model.ts'
import type { RolloutRecord } from '../records.ts'
import type { Rule } from '../rule-names.ts'
import type { Step } from '../step.ts'
import type { Revised } from '../store-facts.ts'
import type { View } from '../view.ts'
import type { Problem } from './problem.ts'

/** Writes the record of the roll-out, if the store answers. `did` is said when that is done: another sentence than `why`. */
export function write(
  view: View,
  service: ServiceSpec,
  rule: Rule,
  { why, did }: { readonly why: string; readonly did: string },
  next: Revised<RolloutRecord>,
): Problem {
  const { target, turns, proven, failed, revision } = next
  const record: RolloutRecord = { target, turns, ...(proven && { proven }), ...(failed && { failed }) }
  const steps: Step[] = view.store.reachable
    ? [{ kind: 'rollout', service: service.name, what: did, record, revision }]
    : []
  return found(service, rule, why, steps)
}

export function found({ name }: ServiceSpec, rule: Rule, why: string, steps: readonly Step[]): Problem {
  return {
    rule,
    service: name,
    evidence: 'first-hand',
    why,
    steps,
    ...(steps.length > 0 && { told: 'by-actor' as const }),
  }
}

/** The turns but for one. */
export function without({ turns }: RolloutRecord, node: string): string[] {
  return turns.filter((one) => one !== node)
}
