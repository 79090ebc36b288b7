/**
 * The files of secrets of one instance: there before the program runs, gone when nothing of it is left. In memory where there is a
 * folder for that, so that no value gets to a disk.
 *
 *     understudy-<hash>/    passable, of the agent's user
 *       web/                passable for the group of the program's user alone
 *         DB_PASSWORD_FILE  0600, of the program's user
 *
 * No folder belongs to the program's user: it can exchange no file for a link that an agent of root would follow.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  fchownSync,
  mkdirSync,
  openSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { findMemoryFolder, makeMemoryFolder } from '../../lib/memory-folder.ts'
import { refusal } from '../driver-refusal.ts'
import type { RunAs } from './run-as.ts'

/** systemd empties /dev/shm of what a user owns when that user logs out, and leaves /run alone, which only root can use. */
const ROOTS: readonly string[] = process.geteuid?.() === 0 ? ['/run', '/dev/shm'] : ['/dev/shm']
const PASSABLE = 0o711

/** Writes them anew: `contents` by variable. */
export function writeSecretFiles(
  nodeDir: string,
  service: string,
  contents: Readonly<Record<string, string>>,
  runAs: Pick<RunAs, 'uid' | 'gid'> | null,
): void {
  removeSecretFiles(nodeDir, service)
  if (Object.keys(contents).length === 0) return
  const folder = makeFolder(nodeDir, service, runAs)
  for (const [variable, content] of Object.entries(contents)) {
    const file = openSync(join(folder, variable), 'wx', 0o600)
    try {
      writeFileSync(file, content)
      if (runAs) fchownSync(file, runAs.uid, runAs.gid)
    } finally {
      closeSync(file)
    }
  }
}

/** Where the file of a variable is. */
export function secretFilePath(nodeDir: string, service: string, variable: string): string {
  const folders = foldersOf(nodeDir, service)
  return join(folders.find((folder) => existsSync(folder)) ?? join(placeOf(nodeDir), service), variable)
}

/** Nothing of the instance is left. */
export function removeSecretFiles(nodeDir: string, service: string): void {
  for (const folder of foldersOf(nodeDir, service)) rmSync(folder, { recursive: true, force: true })
}

/** Nothing of the node runs any more. */
export function removeAllSecretFiles(nodeDir: string): void {
  for (const root of ROOTS) {
    const memory = findMemoryFolder(placeOf(nodeDir), root, PASSABLE)
    if (memory !== undefined) rmSync(memory, { recursive: true, force: true })
  }
  rmSync(placeOf(nodeDir), { recursive: true, force: true })
}

function makeFolder(nodeDir: string, service: string, runAs: Pick<RunAs, 'uid' | 'gid'> | null): string {
  mkdirSync(placeOf(nodeDir), { recursive: true, mode: 0o700 })
  const memory = ROOTS.map((root) => makeMemoryFolder(placeOf(nodeDir), root, PASSABLE)).find(
    (path) => path !== undefined,
  )
  const isOther = runAs !== null && runAs.uid !== process.geteuid?.()
  // The state folder is closed to other users, and stays so.
  if (memory === undefined && isOther)
    throw refusal('secretFiles with another user need a folder in memory (tmpfs), and there is none')
  const folder = join(memory ?? placeOf(nodeDir), service)
  mkdirSync(folder, { mode: 0o700 })
  if (isOther) {
    chownSync(folder, -1, runAs.gid)
    chmodSync(folder, 0o710)
  }
  return folder
}

function foldersOf(nodeDir: string, service: string): string[] {
  const inMemory = ROOTS.map((root) => findMemoryFolder(placeOf(nodeDir), root, PASSABLE))
  return [...inMemory, placeOf(nodeDir)].flatMap((place) => (place === undefined ? [] : [join(place, service)]))
}

/** Its own folder in the node's state folder: the place in memory is named after it, and it is the place where there is no other. */
function placeOf(nodeDir: string): string {
  return join(nodeDir, 'secrets')
}
