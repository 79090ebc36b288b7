/**
 * The first replica out of a backup instead of out of nothing. The order to do so is a file beside the replica's
 * record, on every node that may create the first replica, before any of them runs; and it stays until the replica is
 * primary, or has cloned its data from another one. So a crash at any moment cannot end in an empty database.
 *
 * The replica comes up as a standby that does not receive, replays the WAL that came with the backup, and is promoted:
 * it gets a timeline of its own, and what the cluster that the backup is of does afterwards is on another branch.
 */
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { UnderstudyError } from '../../../errors.ts'
import { readJson, removeFile, unreadable, writeFileAtomic } from '../../../lib/files.ts'
import { type Folder, syncTree } from '../files/replica-folder.ts'
import { includeOurs } from '../files/server-settings.ts'
import type { Replica } from '../replica.ts'
import { readRecord } from './backup-files.ts'
import { copyBackupInto } from './bulk-work.ts'
import { Progress } from './clone.ts'

export interface RestoreOrder {
  /** The backup's folder. */
  readonly from: string
  readonly version: number
  /** Which backup it was when the order was given: another one in the same place is refused. */
  readonly sums: string
}

/**
 * What this node's first replica is to be made of; null: an empty database. Throws UND_STATE_UNREADABLE when there is
 * an order that cannot be used: an empty database must not be made in place of the backup.
 */
export function restoreOrder(folder: Folder): RestoreOrder | null {
  const order = readJson(folder.restorePath)
  if (order === undefined) return null
  const { from, version, sums } = (order ?? {}) as Partial<Record<keyof RestoreOrder, unknown>>
  if (typeof from === 'string' && typeof version === 'number' && typeof sums === 'string')
    return { from, version, sums }
  throw unreadable(folder.restorePath, 'it is damaged: it does not name a backup')
}

export function giveOrder(folder: Folder, order: RestoreOrder): void {
  mkdirSync(folder.base, { recursive: true, mode: 0o755 })
  writeFileAtomic(folder.restorePath, `${JSON.stringify(order, null, 2)}\n`)
}

/** It has been done, on this node or on another. */
export function forgetOrder(folder: Folder): void {
  removeFile(folder.restorePath)
}

const NOT_OURS = ['standby.signal', 'recovery.signal', 'postmaster.pid', 'postmaster.opts', 'backup_manifest']

/** Leaves the backup as the data folder. Each file is checked while it is copied, in a thread. */
export async function restoreInto(replica: Replica, order: RestoreOrder, signal: AbortSignal): Promise<void> {
  const { folder, binaries, tell } = replica.parts
  const { version } = readRecord(order.from)
  if (version !== binaries.version) {
    const versions = `the backup is of PostgreSQL ${version}, and here is ${binaries.version} in ${binaries.dir}`
    throw new UnderstudyError('UND_REFUSED', `${versions}: it needs the same version (option bin)`)
  }
  await folder.removeLeftovers()
  mkdirSync(folder.fresh, { recursive: true, mode: 0o700 })
  const progress = new Progress((note) => tell(`restoring from ${order.from}: ${note}`))
  const told = { signal, progress: (bytes: number, total: number) => progress.at(bytes, total) }
  await copyBackupInto({ from: order.from, to: folder.fresh, sums: order.sums }, told)
  for (const name of NOT_OURS) rmSync(join(folder.fresh, name), { force: true })
  includeOurs(folder, folder.fresh)
  await syncTree(folder.fresh)
  await folder.ownAll(folder.fresh)
  if (existsSync(folder.data)) rmSync(folder.data, { recursive: true }) // empty: `content()` said so
  renameSync(folder.fresh, folder.data)
}
