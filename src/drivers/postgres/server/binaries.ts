/**
 * Finds PostgreSQL: the folder that the config names, else one of the system (Debian's folders, then PATH), else the
 * npm package, so that a database runs with nothing installed. The package holds only initdb, pg_ctl and postgres:
 * without pg_rewind a diverged replica is cloned again.
 */
import { execFile } from 'node:child_process'
import { accessSync, constants, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { UnderstudyError } from '../../../errors.ts'
import type { Account } from './account.ts'
import { packagedServer } from './packaged-binaries.ts'

export interface Binaries {
  readonly dir: string
  /** The major version: 13 to 18. */
  readonly version: number
  /** With the minor version, as the server itself says it: `15.18`. */
  readonly release: string
  /** It knows allow_in_place_tablespaces. */
  readonly hasTablespacesInPlace: boolean
  readonly origin: 'option' | 'system' | 'npm'
  readonly postgres: string
  readonly initdb: string
  /** Null where there is none. */
  readonly rewind: string | null
  readonly waldump: string | null
  /** Added to the environment of everything that is run from here. */
  readonly env: Readonly<Record<string, string>>
}

const DEBIAN = '/usr/lib/postgresql'
const OLDEST = 13
const NEWEST = 18
const run = promisify(execFile)

export interface Search {
  /** A folder; `npm` is the packaged one, whatever the system has; null: the first that fits. */
  readonly bin: string | null
  /** The version that the data was made by; null: any. */
  readonly version: number | null
  /** Whom the server runs as; null: as ourselves. */
  readonly account: Account | null
  /** Where the links for the npm package may be made, and a copy of it if need be. */
  readonly linksDir: string
}

export async function findBinaries(search: Search): Promise<Binaries> {
  const { version } = search
  const fits = (found: Binaries) => version === null || found.version === version
  const searched: string[] = []
  for (const look of places(search)) {
    const found = await look()
    if (found && fits(found)) return found
    if (found) searched.push(`${found.version} in ${found.dir}`)
  }
  const wanted = version === null ? `${OLDEST} to ${NEWEST}` : `${version}, which made the data,`
  const seen = searched.length === 0 ? '' : ` (there is ${searched.join(', ')})`
  throw new UnderstudyError(
    'UND_CONFIG_INVALID',
    `no PostgreSQL ${wanted} was found${seen}: install one, or name its folder with the option bin`,
  )
}

function places({ bin, account, linksDir }: Search): (() => Promise<Binaries | null>)[] {
  const packaged = async () => {
    const server = await packagedServer(account, linksDir)
    return server && describe(server.bin, 'npm', { LD_LIBRARY_PATH: server.libraries })
  }
  if (bin === 'npm') return [packaged]
  if (bin !== null) return [() => describe(bin, 'option', {})]
  const system = systemFolders().map((dir) => async () => (isComplete(dir) ? describe(dir, 'system', {}) : null))
  return [...system, packaged]
}

/** The newest program of that name on this machine, `bin` first when it is a folder; null when there is none. */
export function findProgram(name: string, bin: string | null): string | null {
  const folders = [...(bin === null || bin === 'npm' ? [] : [bin]), ...systemFolders()]
  return folders.map((folder) => join(folder, name)).find(canRun) ?? null
}

/** Newest first: Debian keeps one folder for each version, other systems put one version on the PATH. */
function systemFolders(): string[] {
  let versions: string[] = []
  try {
    versions = readdirSync(DEBIAN)
  } catch {
    // Not a Debian: the PATH decides.
  }
  const debian = versions
    .map(Number)
    .filter((version) => version >= OLDEST && version <= NEWEST)
    .sort((a, b) => b - a)
    .map((version) => join(DEBIAN, String(version), 'bin'))
  return [...debian, ...(process.env.PATH ?? '').split(delimiter).filter((dir) => dir.startsWith('/'))]
}

function isComplete(dir: string): boolean {
  return canRun(join(dir, 'postgres')) && canRun(join(dir, 'initdb'))
}

function canRun(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false // absent, or not for us: either way it cannot be run
  }
}

/** The minor versions of August 2022. */
const IN_PLACE_SINCE: Readonly<Record<number, number>> = { 13: 8, 14: 5 }

async function describe(dir: string, origin: Binaries['origin'], env: Record<string, string>): Promise<Binaries> {
  const postgres = join(dir, 'postgres')
  if (!isComplete(dir)) {
    throw new UnderstudyError('UND_CONFIG_INVALID', `${dir} holds no postgres and initdb that can be run`)
  }
  const { stdout } = await run(postgres, ['--version'], { env: { ...env, LC_ALL: 'C' } })
  const [release = '', major, minor] = /\b(\d+)(?:\.(\d+)|(?:devel|beta|rc)\w*)/.exec(stdout) ?? []
  const version = Number(major)
  if (!(version >= OLDEST && version <= NEWEST)) {
    throw new UnderstudyError(
      'UND_CONFIG_INVALID',
      `${dir} holds ${stdout.trim()}; ${OLDEST} to ${NEWEST} are supported`,
    )
  }
  const optional = (name: string) => (canRun(join(dir, name)) ? join(dir, name) : null)
  return {
    dir,
    version,
    release,
    hasTablespacesInPlace: Number(minor ?? 99) >= (IN_PLACE_SINCE[version] ?? 0),
    origin,
    postgres,
    initdb: join(dir, 'initdb'),
    rewind: optional('pg_rewind'),
    waldump: optional('pg_waldump'),
    env,
  }
}
