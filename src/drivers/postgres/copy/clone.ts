/**
 * Clones a whole server (server-copy.ts). The clone becomes the data folder by one rename when it is complete and on
 * the disk; until then it is beside it, worthless, and removed by the next attempt.
 */
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { removeFile } from '../../../lib/files.ts'
import type { PrimaryAddress } from '../../replica-driver.ts'
import { type Folder, makeStandby, syncTree } from '../files/replica-folder.ts'
import { includeOurs } from '../files/server-settings.ts'
import type { Replica } from '../replica.ts'
import { takeWholeCopy } from './bulk-work.ts'
import {
  adoptLocations,
  isOfThisMachine,
  linkedPlaces,
  type PlacedTablespace,
  placeTablespaces,
  prepareLocations,
  refuseUnusable,
  removeTablespaceLeftovers,
} from './tablespaces.ts'

export interface CloneResult {
  readonly bytes: number
  /** Where the clone ends: before this position it is not consistent. */
  readonly untilLog: bigint
}

/** Leaves the clone in `folder.fresh`; `adoptClone` makes it the data folder. */
export async function clone(replica: Replica, from: PrimaryAddress, signal: AbortSignal): Promise<CloneResult> {
  const { folder, options, binaries, tell } = replica.parts
  await removeLeftovers(folder)
  mkdirSync(folder.fresh, { recursive: true, mode: 0o700 })
  const progress = new Progress((note) => tell(`copying from ${from.node}: ${note}`))
  const patience = { connectMs: options.timing.statementMs * 2, silentMs: options.timing.copySilentMs, signal }
  let placed: readonly PlacedTablespace[] = []
  try {
    const copy = await takeWholeCopy({
      from,
      password: replica.parts.replicationPassword,
      ...patience,
      version: binaries.version,
      target: folder.fresh,
      manifest: false,
      progress: (bytes, total) => progress.at(bytes, total),
      place: (tablespaces) => {
        placed = placeTablespaces(tablespaces, isOfThisMachine(from.host))
        refuseUnusable(placed, folder)
        prepareLocations(placed, folder)
        return placed
      },
    })
    for (const place of [folder.fresh, ...linkedPlaces(placed)]) {
      await syncTree(place)
      await folder.ownAll(place)
    }
    return { bytes: copy.bytes, untilLog: copy.untilLog }
  } catch (error) {
    await removeLeftovers(folder) // others may need the room on this disk
    throw error
  }
}

/** The clone replaces what was there, as a standby that does not receive yet. `keepsOld`: what was there is set aside. */
export async function adoptClone(replica: Replica, keepsOld = false): Promise<void> {
  const { folder } = replica.parts
  includeOurs(folder, folder.fresh)
  for (const name of ['postmaster.pid', 'postmaster.opts']) rmSync(join(folder.fresh, name), { force: true })
  if (keepsOld) await rm(folder.setAside, { recursive: true, force: true })
  if (existsSync(folder.data)) renameSync(folder.data, keepsOld ? folder.setAside : folder.old)
  renameSync(folder.fresh, folder.data)
  adoptLocations(folder)
  makeStandby(folder)
  removeFile(folder.restorePath) // this one includes what the first replica was made of
}

/** Clones that were not finished or have been replaced, wherever their parts are. */
export async function removeLeftovers(folder: Folder): Promise<void> {
  await folder.removeLeftovers()
  await removeTablespaceLeftovers(folder)
}

/** Says how far it is, once for each four megabytes. */
export class Progress {
  #toldAt = 0
  readonly #tell: (note: string) => void

  constructor(tell: (note: string) => void) {
    this.#tell = tell
  }

  at(bytes: number, total: number): void {
    if (bytes - this.#toldAt < 4_000_000) return
    this.#toldAt = bytes
    const mb = (count: number) => Math.round(count / 1e6)
    this.#tell(total > 0 ? `${mb(bytes)} of ${mb(total)} MB` : `${mb(bytes)} MB`)
  }
}
