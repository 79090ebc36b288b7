/** From the driver's parts to a replica: its account, folders, record, binaries and port, in this order. */
import { readlinkSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import type { NodeSpec, ServiceSpec } from '../../core/model.ts'
import type { HoldProgress } from '../../core/targets.ts'
import type { Clock } from '../../lib/clock.ts'
import type { ProcessIdentity } from '../../lib/proc.ts'
import { asOperating } from '../driver-refusal.ts'
import { choosePort, firstPort, requirePort } from '../instance-port.ts'
import type { SecretSource } from '../secret-source.ts'
import { restoreOrder } from './copy/restore-backup.ts'
import { RecordFile } from './files/durable-record.ts'
import { dataFolderOn, Folder } from './files/replica-folder.ts'
import type { PostgresOptions } from './options.ts'
import { Replica } from './replica.ts'
import { type Account, accountFor } from './server/account.ts'
import { balancerPasswordOf } from './server/balancer-role.ts'
import { findBinaries } from './server/binaries.ts'
import { portInUse, runningServer } from './server/postmaster.ts'
import { lastStart, type StartedAs } from './server/started-as.ts'

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
  balancersHeard(): boolean
  /** Have they logged in at who is to lead next all sessions that they can? */
  balancersWentAhead(): boolean
  /** How far the hold of this number is, which this node's server asked for. */
  holdProgress(hold: number): HoldProgress
  /** Default: no secret is set. */
  readonly secrets?: SecretSource
}

/** The purpose of the secret with which replicas, and backups, log in. */
export function replicationPurpose(service: string): string {
  return `replication of ${service}`
}

export async function prepareReplica(
  { cluster, nodeDir, service, node, clock, secretFor, secrets }: PostgresDriverParts,
  options: PostgresOptions,
  tell: (note: string) => void,
): Promise<Replica> {
  const { data, account, running, bin, refused } = standsOn(nodeDir, service.name, node.name, options)
  const folder = new Folder(nodeDir, service.name, data, account)
  folder.prepare()
  const record = new RecordFile(folder.recordPath)
  record.load()
  const find = () => {
    const version = folder.dataVersion() ?? restoreOrder(folder)?.version ?? null
    return findBinaries({ bin: options.bin, version, account, linksDir: folder.links })
  }
  let binaries = await find().catch((error: unknown) => {
    if (bin === undefined) throw error
    refused.push(`${asOperating(error).message}; it goes on with ${bin}`)
    return findBinaries({ bin, version: folder.dataVersion(), account, linksDir: folder.links })
  })
  const findPort = (before: number | null) => {
    if (options.port !== null) return requirePort(node.address, options.port)
    return choosePort(node.address, before, firstPort(cluster, node.name, service.name))
  }
  const inUse = running ? portInUse(folder) : null
  const used = inUse ?? options.port ?? record.now.port ?? (options.adopt ? null : portInUse(folder))
  const port = used ?? (await findPort(null))
  if (record.now.port !== port) record.change({ port })
  let foundAt = stampOf(binaries.postgres)
  const refresh = async () => {
    if (refused.length === 0 && stampOf(binaries.postgres) !== foundAt) {
      binaries = await find()
      foundAt = stampOf(binaries.postgres)
    }
    return { binaries, port: options.port }
  }
  const replicationPassword = secretFor(replicationPurpose(service.name))
  const of = { node: node.name, address: node.address, port, findPort, clock, options, refused, refresh }
  const balancerPassword = balancerPasswordOf(service.name, secretFor)
  const { restarts = 0 } = service
  return new Replica({
    ...of,
    secrets,
    restarts,
    folder,
    record,
    binaries,
    replicationPassword,
    balancerPassword,
    tell,
  })
}

/** Where a replica's files are, whether or not there is a PostgreSQL to run on them. */
export function folderOf({ nodeDir, service, node }: PostgresDriverParts, options: PostgresOptions): Folder {
  const { data, account } = standsOn(nodeDir, service.name, node.name, options)
  return new Folder(nodeDir, service.name, data, account)
}

interface Standing {
  /** Null: the usual one. */
  readonly data: string | null
  readonly account: Account | null
  readonly running: boolean
  /** The programs of a server that runs; undefined: none does. */
  readonly bin: string | undefined
  readonly refused: string[]
}

/**
 * What runs is looked after where it runs and as whom it runs, whatever the config says by now: in another folder it would not be
 * found, and with another owner its files would be taken away from it. Neither is data left behind for an empty folder.
 */
function standsOn(nodeDir: string, service: string, node: string, options: PostgresOptions): Standing {
  const wanted = new Folder(nodeDir, service, dataFolderOn(node, options.data), null)
  const last = lastStart(wanted)?.started
  const before = last === undefined ? wanted : new Folder(nodeDir, service, last.data, null)
  const refused: string[] = []
  const isElsewhere =
    before.data !== wanted.data && (runningServer(before) !== undefined || isLeftBehind(before, wanted))
  if (isElsewhere)
    refused.push(`its data is in ${before.data}, not in ${wanted.data}: move it there while the cluster is stopped`)
  const data = isElsewhere ? before.data : dataFolderOn(node, options.data)
  const server = runningServer(isElsewhere ? before : wanted)
  if (server === undefined || process.getuid?.() !== 0)
    return {
      data,
      account: accountFor(options.user),
      running: server !== undefined,
      bin: programsOf(server, last),
      refused,
    }
  const { uid, gid } = statSync(`/proc/${server.pid}`)
  const asked = tried(() => accountFor(options.user))
  if (asked?.uid !== uid) refused.push(`it runs as user ${uid}: another one is taken when it is started after “down”`)
  return { data, account: { uid, gid }, running: true, bin: programsOf(server, last), refused }
}

function isLeftBehind(before: Folder, wanted: Folder): boolean {
  return before.content() === 'data' && wanted.content() === 'none'
}

function programsOf(server: ProcessIdentity | undefined, last: StartedAs | undefined): string | undefined {
  if (server === undefined || last !== undefined) return server && last?.bin
  return tried(() => dirname(readlinkSync(`/proc/${server.pid}/exe`).replace(/ \(deleted\)$/, '')))
}

/** Another one when the program at that path was replaced. */
function stampOf(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false })
  return found ? `${found.ino} ${found.mtimeMs}` : ''
}

function tried<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch {
    return undefined // a user that is not there, a process that has ended: then nothing is known
  }
}
