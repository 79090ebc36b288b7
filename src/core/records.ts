/** What the agents agree on: the values in the store, by their keys. A writer has read the value that it replaces. */
import type { ClusterSpec, NodeName, NodeSpec, ServiceSpec, Term } from './model.ts'
import type { ReplicaRecord, Replication } from './replicated/quorum-config.ts'
import type { Rule } from './rule-names.ts'

/** Written in the store under `service/<name>`: who leads, since when, and what is planned. */
export interface ServiceRecord {
  readonly term: Term
  /** Who led last, or leads now: the key `lead/<name>` exists exactly while its lease lives. */
  readonly primary: NodeName | null
  /** Why the lead is free, as recorded by the node that gave it up. */
  readonly vacancy?: Vacancy
  readonly switchover?: Switchover
  /** Only of services that replicate: the quorum configs that a recruitment must beat, and how far a change of primary is. */
  readonly replica?: ReplicaRecord
}

export interface Vacancy {
  readonly rule: Rule
  readonly why: string
  readonly by: NodeName
  /** Wall clock of the node that noticed. For receipts only. */
  readonly noticedAt: number
  /** Who should take over, when that was chosen. */
  readonly successor?: NodeName
}

export interface Switchover {
  readonly id: string
  readonly to: NodeName
  readonly requestedAt: number
}

/** The value of the key `lead/<name>`, which lives on a lease: as long as it is there, `node` may lead in `term`. */
export interface LeadRecord {
  readonly node: NodeName
  readonly term: Term
  /** The lease of its node that it lives on, so that an agent that was restarted can go on renewing it. */
  readonly lease: string
  /** The full time of that lease, in milliseconds. Default, in records of earlier versions: what the config says. */
  readonly ttlMs?: number
}

/** Written in the store under `node/<name>`. */
export interface NodeRecord {
  readonly drained: boolean
}

/** Written in the store under `size/<service>`: the operator asked for another number of instances while the cluster runs. */
export interface SizeRecord {
  readonly instances: number
  /** The number in the config when it was asked for: a config that says another one since then has the last word. */
  readonly configured: number
  readonly degrade?: Replication['degrade']
}

/** Written in the store under `wish/<service>`: what operators asked for besides the config. It outlives restarts and reboots. */
export interface ServiceWish {
  /** How often a rolling restart was asked for: an instance that was started under a lower number is outdated. */
  readonly restarts: number
  /** It shall not run; undefined when it shall. */
  readonly stopped?: { readonly at: number; readonly by: string }
}

/** Written in the store under `secret/<name>`. Only the nodes of the cluster can open the value in it. */
export interface SecretRecord {
  /** 1 for the first value, one more for each other value, also when the secret was removed in between. */
  readonly version: number
  /** Names the key that it was sealed with. */
  readonly keyId: string
  /** Absent: it was removed. */
  readonly sealed?: string
  /** Wall clock, in milliseconds. */
  readonly at: number
  /** Who wrote it, as `user@host`. */
  readonly by: string
}

/** Written in the store under `rollout/<service>`. */
export interface RolloutRecord {
  /** What is rolled out (`targetOf` in rollout.ts): of another target the record says nothing. */
  readonly target: string
  /** Nodes whose instance is being replaced. */
  readonly turns: readonly NodeName[]
  /** An instance of it was healthy for as long as `update` asks: one that fails later is an ordinary failure. */
  readonly proven?: true
  /** It does not go on: the new instance of a node failed. */
  readonly failed?: RolloutFailure
}

export interface RolloutFailure {
  readonly node: NodeName
  /** A sentence. */
  readonly why: string
  /** The config before was asked to come back, and there is none, or it is not the config that failed (agent/roll-back.ts). */
  readonly noWayBack?: true
}

/** Written in the store under `config`. */
export interface ConfigRecord {
  readonly schema: number
  /** 1 for the first config of a cluster, one more with each change. */
  readonly number: number
  /** Of `spec`: the same for the same config. */
  readonly hash: string
  readonly spec: ClusterSpec
  readonly leaving: readonly NodeSpec[]
  readonly removed: readonly ServiceSpec[]
  /** The start of the cluster in which it was written (`ClusterRecord.run`). */
  readonly run: string
  /** Wall clock, in milliseconds. */
  readonly at: number
  /** Who wrote it, as `user@host`. */
  readonly by: string
  /** Why, in the words of who wrote it; may be empty. */
  readonly message: string
  /** The version of Understudy that compiled it. */
  readonly version: string
  /** It is the way back to an earlier one, of this number. */
  readonly returnsTo?: number
}

/** What a view says of the config besides the services and nodes themselves. */
export interface ConfigFacts {
  /** 0: not written in the store yet. */
  readonly number: number
  readonly leaving: readonly NodeName[]
  readonly removed: readonly ServiceSpec[]
  /** A newer one, which this version of Understudy cannot act on; a sentence. */
  readonly refused?: string
}

/** Written in the store under `cluster`: whether the operator wants it to run at all. */
export interface ClusterRecord {
  readonly desired: 'running' | 'stopped'
  /** Which start of the cluster the wish is about: a wish to stop is over when the cluster is started anew. */
  readonly run?: string
}
