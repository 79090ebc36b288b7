/**
 * Versions that work beside each other. Agents, balancers and fences of one cluster may be of two versions while one replaces the
 * other, so each says which protocol it speaks: in its reports, in the balancer's hello, in the fence's answer to a ping.
 *
 * The rule: a reader ignores kinds and fields that it does not know. A writer writes what an earlier version would not
 * understand only when every node speaks the protocol that has it (`everyNodeSpeaks`); until then a cluster can go back to the
 * version before. So `PROTOCOL` is raised when there is something to say that must not be said to an earlier version, and in no
 * other release; two versions may be in one cluster when their protocols are at most `MOST_APART` apart.
 */

/** 1: nodes say their versions, and balancers hand over. */
export const PROTOCOL = 1

/** As of it agents act on configs, restarts, stops and secrets that are written while they run; earlier ones ignore them. */
export const PROTOCOL_OF_CHANGES = 1

/** Of what says nothing about a protocol: it is of a version before there was one. */
export const UNSAID_PROTOCOL = 0

export const MOST_APART = 1

/** What a process of Understudy says of itself. */
export interface Speaks {
  readonly version: string
  readonly protocol: number
}

/** Of what says nothing about a version. */
export const EARLIER: Speaks = { version: 'earlier', protocol: UNSAID_PROTOCOL }

/** In the report of a node; absent in reports of versions before there was a protocol. */
export interface VersionReport {
  /** Of the agent. */
  readonly version?: string
  readonly protocol?: number
  /** Null: it has not answered yet. Both may be of another version than the agent, which they outlive. */
  readonly balancerVersion?: string | null
  readonly fenceVersion?: string | null
}

/** As a node reported it; undefined for one that has not been heard yet. */
export function protocolOf(report: Pick<VersionReport, 'protocol'> | null | undefined): number | undefined {
  return report ? (report.protocol ?? UNSAID_PROTOCOL) : undefined
}
