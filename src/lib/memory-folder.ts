/**
 * A folder in memory (tmpfs) for what is rewritten all the time and means nothing after the machine's next start: writing there
 * costs no disk. It is named after the folder whose state it holds, by path, device and inode, so that two clusters, a copy of a
 * folder, and containers that share /dev/shm never meet in one.
 *
 * Any user may make folders in /dev/shm, and may have been there first. So it is used only as long as it is ours and closed to
 * others, which is looked at before each use; the sticky bit keeps others from exchanging it. systemd empties /dev/shm of what
 * a user owns when that user logs out (RemoveIPC=, not for root and system users): what is in it must be allowed to vanish.
 */
import { createHash } from 'node:crypto'
import { chmodSync, lstatSync, mkdirSync, rmSync, statfsSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'

const ROOT = '/dev/shm'
/** statfs(2). */
const TMPFS_MAGIC = 0x01021994
const STICKY = 0o1000
const CLOSED = 0o700

/**
 * Made unless it is there. Undefined where there is no such place, or what is there is not ours. `mode`: 0700 closes it, 0711 lets
 * others pass to what they know the name of.
 */
export function makeMemoryFolder(dir: string, root = ROOT, mode = CLOSED): string | undefined {
  const path = pathOf(dir, root)
  if (path === undefined || isOurs(path, mode)) return path
  try {
    mkdirSync(path, { mode: CLOSED })
    if (mode !== CLOSED) chmodSync(path, mode) // whatever the umask is
  } catch {
    return undefined // another's, a file, or a full memory: the caller has a folder on the disk
  }
  return isOurs(path, mode) ? path : undefined
}

/** Undefined when there is none, or what is there is not ours. */
export function findMemoryFolder(dir: string, root = ROOT, mode = CLOSED): string | undefined {
  const path = pathOf(dir, root)
  return path !== undefined && isOurs(path, mode) ? path : undefined
}

/** Nothing runs for this folder any more. */
export function removeMemoryFolderOf(dir: string, root = ROOT): void {
  const path = findMemoryFolder(dir, root)
  if (path !== undefined) rmSync(path, { recursive: true, force: true })
}

function pathOf(dir: string, root: string): string | undefined {
  try {
    const { uid, mode } = lstatSync(root)
    // Where any user may rename what others made, a folder that is ours now may be another's a moment later.
    const isSafe = (uid === 0 || uid === process.geteuid?.()) && ((mode & STICKY) !== 0 || (mode & 0o022) === 0)
    if (!isSafe || statfsSync(root).type !== TMPFS_MAGIC) return undefined
    const { dev, ino } = statSync(dir)
    const hash = createHash('sha256')
      .update(`${resolve(dir)}\n${dev}:${ino}`)
      .digest('hex')
      .slice(0, 16)
    return join(root, `understudy-${hash}`)
  } catch {
    return undefined // there is no such place, or no such folder
  }
}

function isOurs(path: string, mode: number): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false })
  return found?.isDirectory() === true && found.uid === process.geteuid?.() && (found.mode & 0o777) === mode
}
