/**
 * Who is in the way. The kernel lists every file lock in /proc/locks with the process that holds it, so "the store does
 * not answer" can name the culprit: most likely a process that was stopped by a signal in the middle of a write.
 */
import { readFileSync, statSync } from 'node:fs'
import { processState } from '../../lib/proc.ts'

/** A half sentence for an error message, empty when the kernel does not say. */
export function describeLockHolder(path: string): string {
  const pid = lockHolder(path)
  if (pid === undefined) return ''
  const stopped = processState(pid)?.letter === 'T' ? ', which is stopped by a signal' : ''
  return `; process ${pid} holds its lock${stopped}`
}

export function lockHolder(path: string): number | undefined {
  try {
    const { ino } = statSync(path)
    // 1: POSIX  ADVISORY  WRITE 5360 fe:00:2163255 1073741824 1073742335
    for (const line of readFileSync('/proc/locks', 'latin1').split('\n')) {
      const [, kind, , , pid, file] = line.split(/\s+/)
      // The device numbers differ from stat's on some file systems (btrfs, overlayfs); the inode is good enough for a hint.
      if (kind === 'POSIX' && file?.endsWith(`:${ino}`) && Number(pid) !== process.pid) return Number(pid)
    }
  } catch {
    return undefined // no /proc, or the file is gone: it is only a hint
  }
  return undefined
}
