/** The config of a running cluster and what changes it, as types of the HTTP API. */
import type { ClusterSpec } from '../core/model.ts'

/** The file that a config was compiled from. */
export interface ConfigSourceText {
  /** Its base name. */
  readonly name: string
  readonly text: string
}

/** One config of the history; the newest one holds. */
export interface ConfigEntry {
  /** 1 for the first config of a cluster, one more with each change. */
  readonly number: number
  /** The same for configs that say the same: 16 hexadecimal digits. */
  readonly hash: string
  /** When it was applied (ISO 8601), by the clock of the node that wrote it. */
  readonly at: string
  /** Who applied it, as `user@host`; may be empty. */
  readonly by: string
  /** Why, in the words of who applied it; may be empty. */
  readonly message: string
  /** The version of Understudy that compiled it. */
  readonly version: string
}

export interface ConfigContent extends ConfigEntry {
  /** As compiled: every default filled in. It may hold secrets, as the config file does. */
  readonly spec: ClusterSpec
  /** Null: it was applied without one, or is not kept any more. */
  readonly source: ConfigSourceText | null
}

export interface ApplyRequest {
  /** As compiled by this program (`understudy check --json`, or the SDK). */
  readonly spec: ClusterSpec
  /** The number of the config that this one was compared with: if another one holds by now, the call is refused. */
  readonly expect: number
  /** The version of Understudy that compiled it: an older one than the nodes' is refused. */
  readonly version: string
  /** Of the compiled form. Default: that of the node that is asked. */
  readonly schema?: number
  readonly source?: ConfigSourceText
  readonly message?: string
  /** As `user@host`. */
  readonly by?: string
}

export interface RollbackRequest {
  readonly to: number
  /** As in ApplyRequest. Default: whichever holds. */
  readonly expect?: number
  readonly message?: string
  readonly by?: string
}

export interface AbortRequest {
  readonly expect?: number
  readonly by?: string
}

export interface ServiceRequest {
  /** As `user@host`. */
  readonly by?: string
}

/** Accepted means written down: `number` is the config that holds from now on. */
export interface ConfigAccepted {
  readonly number: number
  readonly what: string
}

/** How far the roll-out of a service is. Absent from a status: every instance that is heard runs as the config says. */
export interface RolloutStatus {
  /** `stopped`: the new instance of a node failed, and no further one is replaced until there is another config. */
  readonly state: 'rolling' | 'stopped'
  /** How many instances run as the config says, of how many. */
  readonly updated: number
  readonly of: number
  readonly why: string
}

/** The config that the answering agent acts on. */
export interface ConfigStatus {
  /** 0: not written in the store yet. */
  readonly number: number
  readonly hash: string
  readonly at: string
  readonly by: string
  readonly message: string
  /** Nodes that it no longer names, and that something still depends on. */
  readonly leaving: readonly string[]
  /** Services that it no longer names, and of which something is left. */
  readonly removed: readonly string[]
  /** Why a newer config cannot be acted on; null when there is none. */
  readonly refused: string | null
}
