/** From the driver's parts to a replica: its account, folders, record, binaries and port, in this order. */
import type { NodeSpec, ServiceSpec } from '../../core/model.ts'
import type { HoldProgress } from '../../core/targets.ts'
import type { Clock } from '../../lib/clock.ts'
import { choosePort, firstPort, requirePort } from '../instance-port.ts'
import { restoreOrder } from './copy/restore-backup.ts'
import { RecordFile } from './files/durable-record.ts'
import { dataFolderOn, Folder } from './files/replica-folder.ts'
import type { PostgresOptions } from './options.ts'
import { Replica } from './replica.ts'
import { accountFor } from './server/account.ts'
import { doorPasswordOf } from './server/balancer-role.ts'
import { findBinaries } from './server/binaries.ts'
import { portInUse } from './server/postmaster.ts'

export interface PostgresDriverParts {
  /** The cluster's name. */
  readonly cluster: string
  readonly node: NodeSpec
  readonly service: ServiceSpec
  /** The node's folder, `nodes/<node>` in the state folder: `instances/<service>` is made in it. */
  readonly nodeDir: string
  readonly clock: Clock
  /** A secret that only this cluster's nodes can derive, the same on each of them; another one for each purpose. */
  secretFor(purpose: string): string
  /** How late this agent's event loop was in about the last second: misses taken meanwhile prove nothing. */
  loopLagMs(): number
  /** Have all balancers heard that this node's server is about to end? */
  doorsHeard(): boolean
  /** Have they logged in at who is to lead next all sessions that they can? */
  doorsWentAhead(): boolean
  /** How far the hold of this number is, which this node's server asked for. */
  holdProgress(hold: number): HoldProgress
}

/** The purpose of the secret with which replicas, and backups, log in. */
export function replicationPurpose(service: string): string {
  return `replication of ${service}`
}

export async function prepareReplica(
  { cluster, nodeDir, service, node, clock, secretFor }: PostgresDriverParts,
  options: PostgresOptions,
  tell: (note: string) => void,
): Promise<Replica> {
  const account = accountFor(options.user)
  const folder = new Folder(nodeDir, service.name, dataFolderOn(node.name, options.data), account)
  folder.prepare()
  const record = new RecordFile(folder.recordPath)
  record.load()
  const version = folder.dataVersion() ?? restoreOrder(folder)?.version ?? null
  const binaries = await findBinaries({ bin: options.bin, version, account, linksDir: folder.links })
  const findPort = (before: number | null) => {
    if (options.port !== null) return requirePort(node.address, options.port)
    return choosePort(node.address, before, firstPort(cluster, node.name, service.name))
  }
  const used = options.port ?? record.now.port ?? (options.adopt ? null : portInUse(folder))
  const port = used ?? (await findPort(null))
  if (record.now.port !== port) record.change({ port })
  const replicationPassword = secretFor(replicationPurpose(service.name))
  const of = { node: node.name, address: node.address, port, findPort, clock, options }
  const doorPassword = doorPasswordOf(service.name, secretFor)
  return new Replica({ ...of, folder, record, binaries, replicationPassword, doorPassword, tell })
}
