/**
 * Tablespaces of a clone: where the files of each go, and what may be removed of them.
 *
 * PostgreSQL reaches a tablespace by pg_tblspc/<oid> in the data folder: a symbolic link to its location, or the folder
 * itself (`location ''`, in place). The location stands in the WAL, so it is the same path on every node. Hence:
 *
 *     on several machines   the same path on each, where the operator has made that folder
 *     on one machine        in place: two servers that share a folder destroy each other's data
 *
 * What is in place is a part of the data folder: it is renamed, checked and removed with it. Of a location only the
 * folder of this server's version in it is ours, and only where this replica wrote down that it is
 * (<base>/tablespaces.json).
 */
import { existsSync, lstatSync, mkdirSync, readdirSync, readlinkSync, renameSync, rmSync, statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { UnderstudyError } from '../../../errors.ts'
import { readJson, writeFileAtomic } from '../../../lib/files.ts'
import type { Folder } from '../files/replica-folder.ts'

export interface Tablespace {
  /** The name of its entry in pg_tblspc. */
  readonly oid: string
  readonly name: string
  /** Absolute; or empty, or below the data folder: in place. */
  readonly location: string
}

export interface PlacedTablespace extends Tablespace {
  /** The location that the clone links to; null: in place. */
  readonly linkTo: string | null
}

/** Every tablespace but PostgreSQL's own two. */
export const TABLESPACES = `select oid::text as oid, spcname as name, pg_tablespace_location(oid) as location
from pg_tablespace where spcname not in ('pg_default', 'pg_global') order by oid`

export function placeTablespaces(list: readonly Tablespace[], onOneMachine: boolean): PlacedTablespace[] {
  return list.map((one) => ({ ...one, linkTo: isAbsolute(one.location) && !onOneMachine ? one.location : null }))
}

/** Can a rewind bring this replica to what the primary has? It makes links to the primary's locations, and no folders. */
export function canRewindTo(theirs: readonly Tablespace[], here: readonly Tablespace[]): boolean {
  return theirs.every(({ oid, location }) => {
    const own = here.find((one) => one.oid === oid)
    return own !== undefined && isAbsolute(own.location) === isAbsolute(location)
  })
}

/** Is that address one of this machine's? */
export function isOfThisMachine(host: string, own = addressesHere()): boolean {
  if (host === 'localhost' || host === '::1') return true
  return isIP(host) === 4 && host.startsWith('127.') ? true : own.includes(host)
}

function addressesHere(): string[] {
  return Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address))
}

/** Of data that lies here, whether its server runs or not. `location` is empty where it is in place. */
export function tablespacesIn(dataDir: string): Tablespace[] {
  const folder = join(dataDir, 'pg_tblspc')
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter((oid) => /^\d+$/.test(oid))
    .map((oid) => {
      const at = join(folder, oid)
      return { oid, name: oid, location: lstatSync(at).isSymbolicLink() ? readlinkSync(at) : '' }
    })
}

const locationsOf = (list: readonly Tablespace[]) => list.map(({ location }) => location).filter((path) => path !== '')

/** Folders outside the data folder that a server on it writes to. */
export function linkedLocations(dataDir: string): string[] {
  return locationsOf(tablespacesIn(dataDir)).filter((path) => existsSync(path))
}

/** Locations that this replica has filled, or in which it made tablespaces as a primary. None where that cannot be read. */
export function ownLocations(folder: Folder): readonly string[] {
  try {
    const read = readJson(folder.tablespacesPath)
    return Array.isArray(read) ? read.map(String) : []
  } catch {
    return [] // then nothing of it is removed, and a location is not used again
  }
}

function keepOwn(folder: Folder, locations: readonly string[]): void {
  const sorted = [...new Set(locations)].toSorted()
  if (JSON.stringify(sorted) === JSON.stringify(ownLocations(folder))) return
  writeFileAtomic(folder.tablespacesPath, `${JSON.stringify(sorted)}\n`)
}

/** For a primary: what it links to is its own. */
export function claimLocations(folder: Folder): void {
  keepOwn(folder, [...ownLocations(folder), ...locationsOf(tablespacesIn(folder.data))])
}

/**
 * Locations that a standby shares with a primary on the same machine: PostgreSQL replays `create tablespace` to the same path.
 * Both write the same files then, so such a standby must end at once.
 */
export function sharedLocations(folder: Folder, primaryHost: string): readonly string[] {
  const linked = locationsOf(tablespacesIn(folder.data))
  if (linked.length === 0 || !isOfThisMachine(primaryHost)) return []
  const own = ownLocations(folder)
  return linked.filter((path) => !own.includes(path))
}

const FRESH = 'understudy-new'
const OLD = 'understudy-old'
const OF_A_SERVER = /^PG_\d/

/** Where the files of a tablespace are unpacked. */
export function freshPlaceOf({ oid, linkTo }: PlacedTablespace, fresh: string): string {
  return linkTo === null ? join(fresh, 'pg_tblspc', oid) : join(linkTo, FRESH)
}

export function linkedPlaces(placed: readonly PlacedTablespace[]): string[] {
  return placed.flatMap(({ linkTo }) => (linkTo === null ? [] : [join(linkTo, FRESH)]))
}

/** Throws UND_REFUSED, with what the operator has to do, when a location cannot be used here. Touches nothing. */
export function refuseUnusable(placed: readonly PlacedTablespace[], folder: Folder): void {
  const own = ownLocations(folder)
  const uid = folder.account?.uid ?? process.getuid?.()
  for (const { name, linkTo } of placed) {
    if (linkTo === null) continue
    const refuse = (why: string) => {
      throw new UnderstudyError('UND_REFUSED', `tablespace ${name} needs the folder ${linkTo} on this node: ${why}`)
    }
    const found = existsSync(linkTo) ? statSync(linkTo) : undefined
    if (!found?.isDirectory()) return refuse("make it, empty, and give it to the server's user")
    if (uid !== undefined && found.uid !== uid) return refuse(`give it to the user with number ${uid}`)
    const used = readdirSync(linkTo).find((entry) => OF_A_SERVER.test(entry))
    if (used && !own.includes(linkTo)) return refuse(`it holds ${used} of another server or of an older copy: empty it`)
  }
}

/** Written down first, so that what an unfinished clone left is known to be ours. */
export function prepareLocations(placed: readonly PlacedTablespace[], folder: Folder): void {
  keepOwn(folder, [...ownLocations(folder), ...placed.flatMap(({ linkTo }) => linkTo ?? [])])
  for (const path of linkedPlaces(placed)) mkdirSync(path, { recursive: true, mode: 0o700 })
}

/** The new files take the place of the old ones. For a server that does not run, and whose data is not to be used before the end. */
export function adoptLocations(folder: Folder): void {
  const linked = locationsOf(tablespacesIn(folder.data))
  const own = ownLocations(folder)
  for (const path of own.filter((one) => existsSync(one))) {
    for (const entry of readdirSync(path).filter((name) => OF_A_SERVER.test(name))) {
      mkdirSync(join(path, OLD), { recursive: true, mode: 0o700 })
      renameSync(join(path, entry), join(path, OLD, entry))
    }
    const fresh = join(path, FRESH)
    if (!linked.includes(path) || !existsSync(fresh)) continue
    for (const entry of readdirSync(fresh)) renameSync(join(fresh, entry), join(path, entry))
    rmSync(fresh, { recursive: true })
  }
  keepOwn(
    folder,
    own.filter((path) => linked.includes(path) || existsSync(join(path, OLD))),
  )
}

/** What an unfinished or replaced clone left. */
export async function removeTablespaceLeftovers(folder: Folder): Promise<void> {
  for (const path of ownLocations(folder)) {
    for (const name of [FRESH, OLD]) await rm(join(path, name), { recursive: true, force: true })
  }
}
