/** Why a replica was elected and none of the others, in words: for receipts, as it was known at that moment. */

import type { NodeName, ServiceSpec } from '../model.ts'
import { isDrained, nodeState, type View } from '../view.ts'
import { comparePositions, type Recruited } from './quorum.ts'
import { newestConfig, recruitedIn, replicaOn, replicatedRecord } from './replica-facts.ts'

export interface ChoiceNote {
  readonly node: NodeName
  /** Could it have been chosen? */
  readonly able: boolean
  readonly why: string
}

/** One note for each node other than the elected one; empty while there is none. */
export function whyNotTheOthers(view: View, service: ServiceSpec): ChoiceNote[] {
  const record = replicatedRecord(view, service)
  if (!record) return []
  const { primary, term } = newestConfig(record)
  const recruited = recruitedIn(view, service, term)
  const others = view.cluster.nodes.map(({ name }) => name).filter((node) => node !== primary)
  const before = record.replica.quorumConfigs.findLast((quorum) => quorum.term < term)?.primary
  return others.map((node) => {
    const why = whyNot(view, service, node, { recruited, before, primary })
    return { node, able: recruited.some((one) => one.node === node) && node !== before, why }
  })
}

interface Choice {
  readonly recruited: readonly Recruited[]
  readonly before: NodeName | undefined
  readonly primary: NodeName
}

function whyNot(view: View, service: ServiceSpec, node: NodeName, { recruited, before, primary }: Choice): string {
  const state = nodeState(view, node)
  const replica = replicaOn(view, node, service)
  const own = recruited.find((one) => one.node === node)
  const chosen = recruited.find((one) => one.node === primary)
  if (node === before) return state === 'alive' ? 'it led before' : `it led before, and is ${state}`
  if (state !== 'alive') return `it is ${state}`
  if (!replica?.position) return 'it has no replica'
  if (replica.quarantined) return 'it had not caught up since it was rewound or copied'
  if (!own) return 'it had not pledged yet'
  if (chosen && comparePositions(own.position, chosen.position) < 0) {
    const missing = BigInt(chosen.position.log) - BigInt(own.position.log)
    return own.position.term < chosen.position.term
      ? `it had nothing of term ${chosen.position.term}`
      : `it was ${missing} bytes behind ${primary}`
  }
  return isDrained(view, node) ? 'it is drained' : `it was as far as ${primary}, which was preferred`
}
