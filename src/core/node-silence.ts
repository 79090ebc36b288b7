/** Why what a node reported last may not be so any more; undefined for a node that is heard. */
import { formatDuration } from '../lib/duration.ts'
import type { NodeName } from './model.ts'
import { nodeState, type View } from './view.ts'

export function silenceOf(view: View, node: NodeName): string | undefined {
  const state = nodeState(view, node)
  if (state === 'alive') return undefined
  if (state === 'unknown') return 'it has not been heard of yet'
  return `it is ${state === 'lost' ? 'lost' : 'silent'}: last heard ${formatDuration(view.peers[node]?.heardAgoMs ?? 0)} ago`
}
