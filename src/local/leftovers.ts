/**
 * Data that was set aside on this machine: of services that were removed from the config, what was replaced by a clone although it
 * could not be read, and the WAL that diverged replicas had to give up. Nothing deletes it but an operator, one by one, by its name.
 */
import { existsSync, lstatSync, readdirSync, statSync } from 'node:fs'
import { readdir, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve, sep } from 'node:path'
import { ASIDE_FILE, ASIDE_MARK, type SetAside } from '../drivers/postgres/files/set-aside.ts'
import { UnderstudyError } from '../errors.ts'
import { readJson } from '../lib/files.ts'
import { realFolder, standsIn } from '../lib/proc-folder.ts'
import type { StateFolder } from './cluster-folder.ts'

export interface Leftover {
  /** What it is deleted by: `<node>/<service>/<what>`. */
  readonly name: string
  /**
   * `removed`: a service that the config does not name any more; `node`: on a node that it does not name any more. `replaced`: data that
   * a clone took the place of. `discarded`: WAL.
   */
  readonly kind: 'removed' | 'node' | 'replaced' | 'discarded'
  readonly node: string
  readonly service: string
  /** When it was set aside, in ISO 8601. */
  readonly at: string
  readonly bytes: number
  /** The folders that it is; the first has the others' names. */
  readonly places: readonly string[]
}

type Found = Omit<Leftover, 'bytes'>

/** Oldest first. */
export async function listLeftovers(state: StateFolder): Promise<Leftover[]> {
  const gone = nodesGone(state)
  const found = state.listNodes().flatMap((node) => onNode(state.node(node), node, gone.has(node)))
  const sized = found.map(async (one) => ({ ...one, bytes: await sizeOf(one.places) }))
  return (await Promise.all(sized)).toSorted((a, b) => a.at.localeCompare(b.at) || a.name.localeCompare(b.name))
}

/** Rejects with UND_BAD_REQUEST when there is none of exactly that name, and with UND_REFUSED when it is in use. */
export async function removeLeftover(state: StateFolder, name: string): Promise<Leftover> {
  const all = await listLeftovers(state)
  const found = all.find((one) => one.name === name)
  if (!found) {
    const known = all.length === 0 ? 'there are none' : `there are: ${all.map((one) => one.name).join(', ')}`
    throw new UnderstudyError('UND_BAD_REQUEST', `no leftover has the name “${name}” (${known})`)
  }
  for (const place of found.places) refuseIfUsed(place)
  // The folder that names the others goes last: when this is interrupted, the rest is still listed.
  for (const place of found.places.toReversed()) await rm(place, { recursive: true, force: true })
  return found
}

/** They have a folder here, and neither belong to the cluster nor are about to leave it. */
function nodesGone(state: StateFolder): Set<string> {
  const kept = state.readCluster()
  if (!kept) return new Set()
  const named = new Set([...kept.spec.nodes, ...kept.config.leaving].map(({ name }) => name))
  return new Set(state.listNodes().filter((node) => !named.has(node)))
}

function onNode(folder: string, node: string, isGone: boolean): Found[] {
  const instances = join(folder, 'instances')
  return namesIn(instances).flatMap((name): Found[] => {
    const base = join(instances, name)
    if (!lstatSync(base).isDirectory()) return []
    const [service, date] = name.split(ASIDE_MARK)
    if (service !== undefined && date !== undefined) return [removed(base, node, service, date)]
    if (isGone && existsSync(join(base, 'replica.json'))) return [ofNode(base, node, name)]
    return [...replaced(base, node, name), ...discarded(base, node, name)]
  })
}

function removed(base: string, node: string, service: string, date: string): Found {
  const { places = [] } = (tryJson(join(base, ASIDE_FILE)) ?? {}) as Partial<SetAside>
  const at = date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6.000Z')
  const there = places.filter((place) => existsSync(place))
  return { name: `${node}/${service}/removed-${date}`, kind: 'removed', node, service, at, places: [base, ...there] }
}

function ofNode(base: string, node: string, service: string): Found {
  const elsewhere = dataElsewhere(base).filter((place) => !place.startsWith(`${base}${sep}`) && existsSync(place))
  const places = [base, ...elsewhere]
  return { name: `${node}/${service}/node`, kind: 'node', node, service, at: changedAt(base), places }
}

/** Of the server that ran there last. */
function dataElsewhere(base: string): string[] {
  const { started } = (tryJson(`${base}.json`) ?? {}) as { readonly started?: { readonly data?: unknown } }
  return typeof started?.data === 'string' ? [started.data] : []
}

/** Beside the data, wherever that is. */
function replaced(base: string, node: string, service: string): Found[] {
  const places = [...new Set([join(base, 'data'), ...dataElsewhere(base)])].map(
    (data) => `${data}.understudy-set-aside`,
  )
  return places
    .filter((place) => existsSync(place))
    .map((place) => {
      const name = `${node}/${service}/replaced`
      return { name, kind: 'replaced', node, service, at: changedAt(place), places: [place] }
    })
}

function discarded(base: string, node: string, service: string): Found[] {
  const folder = join(base, 'discarded')
  return namesIn(folder).map((entry) => {
    const place = join(folder, entry)
    const name = `${node}/${service}/discarded-${entry}`
    return { name, kind: 'discarded', node, service, at: changedAt(place), places: [place] }
  })
}

/** A server or a shell stands in it, or it is not complete yet. */
function refuseIfUsed(place: string): void {
  const real = realFolder(place)
  const no = (why: string) => new UnderstudyError('UND_REFUSED', `${place} is in use: ${why}; nothing was deleted`)
  if (basename(dirname(place)) === 'discarded' && !existsSync(join(place, 'divergence.json')))
    throw no('what a replica gives up is being written to it')
  for (const pid of namesIn('/proc').filter((name) => /^\d+$/.test(name))) {
    const stands = standsIn(Number(pid))
    if (real !== null && stands !== null && `${stands}${sep}`.startsWith(`${real}${sep}`))
      throw no(`process ${pid} stands in it`)
  }
}

async function sizeOf(places: readonly string[]): Promise<number> {
  let bytes = 0
  for (const place of places) {
    for (const entry of await readdir(place, { recursive: true, withFileTypes: true }).catch(() => [])) {
      if (!entry.isFile()) continue
      bytes += await stat(resolve(entry.parentPath, entry.name)).then(
        ({ size }) => size,
        () => 0, // deleted meanwhile
      )
    }
  }
  return bytes
}

function changedAt(place: string): string {
  return new Date(statSync(place).mtimeMs).toISOString()
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).toSorted()
  } catch {
    return [] // not there
  }
}

function tryJson(path: string): unknown {
  try {
    return readJson(path)
  } catch {
    return undefined // it is damaged: the folder itself is still listed
  }
}
