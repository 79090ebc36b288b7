/** What all nodes of the cluster can read, as far as this one knows (protocol.ts says what for). */
import type { NodeName } from './model.ts'
import { EARLIER, PROTOCOL, protocolOf, UNSAID_PROTOCOL } from './protocol.ts'
import { nodeState, type View } from './view.ts'

/**
 * The newest protocol that every node of the config is known to speak. A node that has not been heard is taken to be of an
 * earlier version; one that is lost may come back as it was.
 */
export function commonProtocol(view: View): number {
  const others = view.cluster.nodes.filter(({ name }) => name !== view.self)
  const spoken = others.map(({ name }) => protocolOf(view.peers[name]?.report) ?? UNSAID_PROTOCOL)
  return Math.min(PROTOCOL, ...spoken)
}

/** May records be written in a form that only this protocol has? */
export function everyNodeSpeaks(view: View, protocol: number): boolean {
  return commonProtocol(view) >= protocol
}

/** What one node said last, as a view or a status has it. */
export interface NodeSaid {
  readonly node: NodeName
  readonly state: 'unknown' | 'alive' | 'suspect' | 'condemned' | 'lost'
  /** Null: it has not been heard since the agent that is asked started. Undefined: it says none. */
  readonly protocol: number | null | undefined
  readonly version: string | null | undefined
}

export function saidIn(view: View): NodeSaid[] {
  const { cluster, self, peers } = view
  return cluster.nodes
    .filter(({ name }) => name !== self)
    .map(({ name }) => {
      const report = peers[name]?.report
      const said = { protocol: report ? report.protocol : null, version: report?.version }
      return { node: name, state: nodeState(view, name), ...said }
    })
}

/**
 * Which nodes would not act on a change that needs this protocol, each as a sentence with what to do; empty: it may be made. A
 * lost node holds up only what keeps it in the cluster (`keeps`), and not at all when it was never heard: then there is only
 * its absence to go by, and taking it out must stay possible.
 */
export function earlierNodes(
  nodes: readonly NodeSaid[],
  protocol: number,
  keeps: (node: NodeName) => boolean = () => true,
): string[] {
  return nodes.flatMap(({ node, state, protocol: said, version }) => {
    if (state === 'lost' && (said === null || !keeps(node))) return []
    if (said === null) return [`${node} has not said yet which version it runs: try again in a moment`]
    if ((said ?? UNSAID_PROTOCOL) >= protocol) return []
    const known = version && version !== EARLIER.version ? `Understudy ${version}` : 'an earlier version of Understudy'
    if (state === 'lost')
      return [
        `${node} is lost and last ran ${known}, which would not act on this: ` +
          'bring it back and upgrade it, or take it out of the config',
      ]
    return [
      `${node} runs ${known}, which would not act on this: ` +
        'finish the upgrade with “understudy upgrade --self”, or go back, then try again',
    ]
  })
}
