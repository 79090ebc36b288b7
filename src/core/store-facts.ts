/** The records of the store as one node knows them. */
import type { NodeName, ServiceName } from './model.ts'
import type {
  ClusterRecord,
  ConfigRecord,
  LeadRecord,
  NodeRecord,
  RolloutRecord,
  SecretRecord,
  ServiceRecord,
  ServiceWish,
  SizeRecord,
} from './records.ts'

/** What the store said last. When `reachable` is false it may be long out of date: nothing may be agreed on it. */
export interface StoreFacts {
  readonly reachable: boolean
  /** Why it is not reachable; empty when it is. */
  readonly why: string
  readonly cluster: ClusterRecord
  readonly services: Readonly<Record<ServiceName, Revised<ServiceRecord>>>
  readonly leads: Readonly<Record<ServiceName, LeadRecord>>
  readonly nodes: Readonly<Record<NodeName, NodeRecord>>
  /** What operators asked for besides the config; `View.cluster` has it in it already. Absent: nothing. */
  readonly sizes: Readonly<Record<ServiceName, Revised<SizeRecord>>>
  /** The same for rolling restarts and for services that shall not run. Absent: nothing. */
  readonly wishes?: Readonly<Record<ServiceName, Revised<ServiceWish>>> | undefined
  /** Of rolling changes. Absent: none was ever made. */
  readonly rollouts?: Readonly<Record<ServiceName, Revised<RolloutRecord>>> | undefined
  /** Secrets, sealed; `View.cluster` has their versions. Absent: the store was not read yet. */
  readonly secrets?: Readonly<Record<string, Revised<SecretRecord>>> | undefined
  /** Undefined: none was written yet. */
  readonly config?: Revised<ConfigRecord> | undefined
  /** How long this node has known of the switchover that is asked for, by its own clock: wall clocks differ. */
  readonly switchoverForMs: Readonly<Record<ServiceName, number>>
  /** How long this node has known the record of a service as it is now. */
  readonly recordForMs: Readonly<Record<ServiceName, number>>
  /** How long this node has seen no primary; absent while there is one. */
  readonly leadFreeForMs: Readonly<Record<ServiceName, number>>
}

/** A record with the store revision it was read at: what a swap compares. 0: not written yet. */
export type Revised<T> = T & { readonly revision: number }
