/**
 * What a removed service kept on a node, set aside: renamed beside itself with its name and the date, never deleted. All of it can be
 * put back by the same renames; a service of the same name begins anew.
 *
 *     instances/<service>.removed-<date>/    what was instances/<service>: the data where the config named no other folder, the
 *                                            record of the replica, its slots, what it discarded
 *     <data>.removed-<date>/                 the data folder that the config named
 *     <location>/understudy-removed-<date>/  what it had in a tablespace outside its data folder
 *
 * The list of these places is written into the folder before the first rename, so an agent that dies half way goes on.
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { readJson, removeFile, writeFileAtomic } from '../../../lib/files.ts'
import { ownLocations } from '../copy/tablespaces.ts'
import type { Folder } from './replica-folder.ts'

/** In a folder that was set aside. */
export const ASIDE_FILE = 'set-aside.json'
/** Between a folder's own name and the date. */
export const ASIDE_MARK = '.removed-'

export interface SetAside {
  readonly service: string
  /** `20261129T014500Z`. */
  readonly date: string
  /** Besides the folder that this lies in. */
  readonly places: readonly string[]
}

/** For a service of which nothing runs. The folder that has all that was kept, or names it; undefined when nothing was kept. */
export function setAside(folder: Folder, service: string, wall: number): string | undefined {
  const { base, data, identityPath } = folder
  const plan = begun(folder) ?? planned(folder, service, wall)
  removeFile(identityPath)
  if (plan === undefined) {
    rmSync(base, { recursive: true, force: true }) // no data was ever here: sockets and links are all that there is
    return undefined
  }
  const target = `${base}${ASIDE_MARK}${plan.date}`
  writeFileAtomic(join(base, ASIDE_FILE), `${JSON.stringify(plan, null, 2)}\n`)
  removeFile(folder.keyPath)
  for (const location of ownLocations(folder)) leaveLocation(location, plan)
  const dataAside = `${data}${ASIDE_MARK}${plan.date}`
  if (plan.places.includes(dataAside) && existsSync(data)) renameSync(data, dataAside)
  renameSync(base, target)
  return target
}

function begun({ base }: Folder): SetAside | undefined {
  return readJson(join(base, ASIDE_FILE)) as SetAside | undefined
}

function planned(folder: Folder, service: string, wall: number): SetAside | undefined {
  const isInside = !relative(folder.base, folder.data).startsWith('..')
  const isOurs = ['data', 'damaged'].includes(folder.content()) && (isInside || wasUsed(folder))
  if (!isOurs && !existsSync(folder.recordPath) && !existsSync(folder.discarded)) return undefined
  const date = `${new Date(wall).toISOString().replace(/[-:]|\.\d+/g, '')}`
  const data = isOurs && !isInside ? [`${folder.data}${ASIDE_MARK}${date}`] : []
  const locations = ownLocations(folder).filter((location) => existsSync(location))
  return { service, date, places: [...data, ...locations.map((location) => placeIn(location, date))] }
}

/** A folder that the config names may hold a database that was to be adopted and never was: that is an operator's. */
function wasUsed({ recordPath }: Folder): boolean {
  const { pledged } = (readJson(recordPath) ?? {}) as { readonly pledged?: unknown }
  return typeof pledged === 'number' && pledged > 0
}

function placeIn(location: string, date: string): string {
  return join(location, `understudy-removed-${date}`)
}

function leaveLocation(location: string, { date, places }: SetAside): void {
  const place = placeIn(location, date)
  if (!places.includes(place) || !existsSync(location)) return
  const entries = readdirSync(location).filter((name) => /^PG_\d/.test(name))
  mkdirSync(place, { recursive: true, mode: 0o700 })
  for (const name of entries) renameSync(join(location, name), join(place, name))
}
