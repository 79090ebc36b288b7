/** What an instance is told at its start. */
import type { Role, Term } from '../../core/model.ts'

export interface EnvironmentRequest {
  readonly cluster: string
  readonly node: string
  readonly service: string
  readonly role: Exclude<Role, 'none'>
  readonly term: Term
  readonly termFile: string
  readonly host: string
  readonly port: number
}

export function instanceEnvironment(request: EnvironmentRequest): Record<string, string> {
  return {
    PORT: String(request.port),
    HOST: request.host,
    UNDERSTUDY_CLUSTER: request.cluster,
    UNDERSTUDY_NODE: request.node,
    UNDERSTUDY_SERVICE: request.service,
    UNDERSTUDY_ROLE: request.role,
    // The fencing token: whatever this instance writes to should refuse a lower one than it has seen.
    UNDERSTUDY_TERM: String(request.term),
    // Holds the current term, also after a promotion that came by signal.
    UNDERSTUDY_TERM_FILE: request.termFile,
  }
}

/**
 * The agent's own environment, which instances inherit (PATH, HOME, …), without what belongs to the agent alone: a Node
 * program that sees its parent's channel variables takes some descriptor of its own for that channel.
 */
export function inheritedEnvironment(own: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { NODE_CHANNEL_FD, NODE_CHANNEL_SERIALIZATION_MODE, NODE_UNIQUE_ID, ...inherited } = own
  return inherited
}
