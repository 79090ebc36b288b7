/** What a change of the config would do, asked of a cluster that runs: the plan, what is refused, and `whatif` before and after. */
import type { ConfigContent, Status } from '../client/index.ts'
import { earlierNodes } from '../core/common-protocol.ts'
import { isEmptyPlan, planChange } from '../core/config-plan.ts'
import { configRefusals } from '../core/config-refusals.ts'
import type { ClusterSpec } from '../core/model.ts'
import { PROTOCOL_OF_CHANGES } from '../core/protocol.ts'
import { changeOfOptions } from '../drivers/options-changes.ts'
import type { Weakness } from '../whatif/weaknesses/index.ts'
import { whatifRoom } from './lazy-rooms.ts'
import type { PlannedChange, WhatIfChange } from './print/print-plan.ts'
import { placesIn, runningFacts } from './running-facts.ts'

export async function plannedChange(
  present: ConfigContent,
  wanted: ClusterSpec,
  status: Status,
): Promise<PlannedChange> {
  const after: ClusterSpec = JSON.parse(JSON.stringify(wanted)) // as it arrives: without what is undefined
  const running = runningFacts(status)
  const plan = planChange(present.spec, after, running, changeOfOptions)
  const reasons = configRefusals(present.spec, after, running, changeOfOptions)
  const isEmpty = isEmptyPlan(plan) && reasons.length === 0
  const refused = isEmpty ? [] : [...earlierIn(status, after), ...reasons]
  const isAsked = !isEmpty && refused.length === 0
  const whatif = isAsked ? await whatifChange(present.spec, after, status) : null
  return { cluster: present.spec.name, from: present.number, plan, isEmpty, refused, whatif }
}

/** Of nodes that would not act on it. */
function earlierIn({ nodes, answeredBy }: Status, after: ClusterSpec): string[] {
  const others = nodes.filter(({ name }) => name !== answeredBy)
  const said = others.map(({ name, state, protocol, version }) => ({ node: name, state, protocol, version }))
  const keeps = (node: string) => after.nodes.some(({ name }) => name === node)
  return earlierNodes(said, PROTOCOL_OF_CHANGES, keeps)
}

/** Null for a cluster that is too large for a quick answer: `understudy whatif` gives it. */
async function whatifChange(before: ClusterSpec, after: ClusterSpec, status: Status): Promise<WhatIfChange | null> {
  const { WhatIf, MOST_NODES } = await whatifRoom()
  if (Math.max(before.nodes.length, after.nodes.length) > MOST_NODES || after.services.length === 0) return null
  const [one, other] = [before, after].map((spec) => new WhatIf(placesIn(status, spec, before)).report())
  if (!one || !other) return null
  const keyOf = ({ name, service }: Weakness) => `${name} ${service ?? ''}`
  const isNote = ({ severity }: Weakness) => severity === 'note'
  const without = (all: readonly Weakness[], known: readonly Weakness[]) => {
    const keys = new Set(known.map(keyOf))
    return all.filter((weakness) => !keys.has(keyOf(weakness)) && !isNote(weakness))
  }
  const missedBefore = new Set(one.missed.map(({ service }) => service))
  return {
    added: without(other.weaknesses, one.weaknesses),
    gone: without(one.weaknesses, other.weaknesses),
    missed: other.missed.filter(({ service }) => !missedBefore.has(service)),
  }
}
