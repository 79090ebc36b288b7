/** Which folder a process stands in: what belongs to a server is told by that. */
import { readlinkSync, realpathSync } from 'node:fs'

/** Null: it is gone, or of another user. A folder that was removed under it is called `<path> (deleted)` by the kernel. */
export function standsIn(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    return null // no process of ours
  }
}

/** With every link followed; null: there is no such folder. */
export function realFolder(path: string): string | null {
  try {
    return realpathSync(path)
  } catch {
    return null // nothing can stand in it
  }
}
