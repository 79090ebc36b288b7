/** What a replica is made of: its place, its files, its programs, and its secrets (replica-setup.ts puts them together). */
import type { NodeName } from '../../core/model.ts'
import type { Clock } from '../../lib/clock.ts'
import type { SecretSource } from '../secret-source.ts'
import type { RecordFile } from './files/durable-record.ts'
import type { Folder } from './files/replica-folder.ts'
import type { PostgresOptions } from './options.ts'
import type { Binaries } from './server/binaries.ts'

export interface ReplicaParts {
  readonly node: NodeName
  readonly address: string
  /** The server's, to begin with. */
  readonly port: number
  /** The same one while no other program listens there, or another. Rejects with UND_PORT_TAKEN when the config fixes it. */
  findPort(before: number): Promise<number>
  readonly clock: Clock
  readonly options: PostgresOptions
  /** How often a restart was asked for, when it is started now. */
  readonly restarts: number
  readonly folder: Folder
  readonly record: RecordFile
  /** Of the server that runs, or is to be started. */
  binaries: Binaries
  /** Called before a start: what the config says by now, where a server ran on something else. */
  refresh(): Promise<Refreshed>
  /** What the config says and cannot be while this data is here, as sentences. */
  readonly refused: readonly string[]
  /** With which replicas log in to clone and stream: a secret of the cluster, the same on every node. */
  readonly replicationPassword: string
  /** With which the balancers log in themselves: balancer-role.ts. */
  readonly balancerPassword: string
  /** Of operators, by name; undefined: none is set. */
  readonly secrets?: SecretSource | undefined
  /** Reports what a long piece of work is doing. */
  readonly tell: (note: string) => void
}

export interface Refreshed {
  readonly binaries: Binaries
  /** Null: as before. */
  readonly port: number | null
}
