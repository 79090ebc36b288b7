/**
 * Noticing that another process writes the file. The kernel (inotify) reports each write to a watched file, from
 * whichever process: an idle agent then costs next to nothing and still notices within a millisecond or two. It is a
 * hint and not more: it comes while the writer still holds its lock, may come for a change that is undone, and is
 * missing on some file systems. What is true is read from the file.
 */
import { watch } from 'node:fs'
import type { Stop } from '../../lib/stop.ts'

/** Calls `heard` for each write; undefined when the kernel has no watch to spare. Does not open the file. */
export function listen(path: string, heard: () => void): Stop | undefined {
  try {
    const watcher = watch(path, { persistent: false }, heard)
    watcher.on('error', () => watcher.close()) // deaf from now on: the regular looks go on
    return () => watcher.close()
  } catch {
    return undefined // the limit of watches per user is reached, or there is no inotify
  }
}
