/**
 * Rotation of a log file that a server writes itself (PostgreSQL's), by copying and truncating it: a process that holds
 * it open for appending goes on at the new end. The bulk is copied off the agent's loop. What arrived meanwhile is
 * copied together with the truncation, up to a bound: a server that printed more than that in the meantime loses the
 * oldest of it, because the agent's loop must not wait for it.
 *
 * Instances of `http()` and `command()` have a log writer instead (log-writer.ts).
 */
import { closeSync, ftruncateSync, openSync, readSync, statSync, writeSync } from 'node:fs'
import { copyFile, rename, rm } from 'node:fs/promises'

/** Copied in well under a millisecond. */
const MOST_TAIL_BYTES = 1024 * 1024

/** Rotates when the log is larger than `logBytes`; keeps `logFiles` older ones, `.1` the youngest. True when it did. */
export async function rotateLog(path: string, logBytes: number, logFiles: number): Promise<boolean> {
  if (sizeOf(path) <= logBytes) return false
  if (logFiles === 0) {
    emptyLog(path)
    return true
  }
  for (let age = logFiles - 1; age >= 1; age -= 1) {
    await rename(`${path}.${age}`, `${path}.${age + 1}`).catch(ignoreAbsent)
  }
  // The bulk is copied without stopping the server; what arrived meanwhile is copied together with the truncation.
  await copyFile(path, `${path}.1`)
  moveTail(path, `${path}.1`)
  await rm(`${path}.${logFiles + 1}`, { force: true }) // left over from a larger `logFiles`
  return true
}

function moveTail(path: string, copyPath: string): void {
  const log = openSync(path, 'r+')
  const copy = openSync(copyPath, 'a')
  try {
    const buffer = Buffer.allocUnsafe(64 * 1024)
    let at = Math.max(sizeOf(copyPath), sizeOf(path) - MOST_TAIL_BYTES)
    const until = at + 2 * MOST_TAIL_BYTES
    for (let read = readSync(log, buffer, 0, buffer.length, at); read > 0 && at < until; ) {
      writeSync(copy, buffer, 0, read)
      at += read
      read = readSync(log, buffer, 0, buffer.length, at)
    }
    ftruncateSync(log, 0)
  } finally {
    closeSync(log)
    closeSync(copy)
  }
}

function emptyLog(path: string): void {
  const log = openSync(path, 'r+')
  ftruncateSync(log, 0)
  closeSync(log)
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

function ignoreAbsent(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error
}
