/**
 * What an instance prints goes straight into a file: the descriptor is its own, opened for appending, so the death of an
 * agent loses nothing and blocks nobody.
 *
 * That is also why rotation cannot rename the file away (the instance would go on writing into the renamed one): it copies
 * and then truncates. Appending descriptors go on at the new end. What can be lost: lines written between the copy of
 * the last few bytes and the truncation, which follow each other without a pause; some microseconds of output, once in
 * `logBytes`. A program that must not lose a line writes its own log.
 */
import { closeSync, constants, ftruncateSync, mkdirSync, openSync, readSync, statSync, writeSync } from 'node:fs'
import { copyFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Cancel, Clock } from '../../lib/clock.ts'
import type { Stop } from '../../lib/stop.ts'
import { inStateFolder } from './state-writes.ts'

const LOOK_EVERY_MS = 5_000

/** A descriptor to give to a child. The caller closes its own copy. */
export function openLog(path: string): number {
  return inStateFolder(path, () => {
    mkdirSync(dirname(path), { recursive: true })
    return openSync(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT, 0o640)
  })
}

/** Looks every few seconds whether the log has grown too large. */
export function keepLogSmall(clock: Clock, path: string, logBytes: number, logFiles: number): Stop {
  let timer: Cancel = () => {}
  let over = false
  const again = () => {
    if (!over) timer = clock.after(LOOK_EVERY_MS, look)
  }
  // A rotation that fails (a full disk) leaves the log as it was; the next look tries again.
  const look = () => void rotateLog(path, logBytes, logFiles).then(again, again)
  again()
  return () => {
    over = true
    timer()
  }
}

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
  // The bulk is copied without stopping anybody; what arrived meanwhile is copied in the same breath as the truncation.
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
    let at = sizeOf(copyPath)
    for (let read = readSync(log, buffer, 0, buffer.length, at); read > 0; ) {
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
