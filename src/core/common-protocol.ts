/** What all nodes of the cluster can read, as far as this one knows (protocol.ts says what for). */
import { PROTOCOL, protocolOf, UNSAID_PROTOCOL } from './protocol.ts'
import type { View } from './view.ts'

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
