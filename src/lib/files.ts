/**
 * Small state files that are either the old or the new content after a crash at any moment, never half of one.
 *
 * Reading one back: only "there is no such file" means that nothing was written. A file that is there and cannot be read,
 * is no JSON, or was written by a newer version is an error that names it, and the file is left as it is: taking it for
 * blank would overwrite the only trace of what was promised. docs/decisions/0005-files-read-back.md has every file.
 */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { uptime } from 'node:os'
import { dirname } from 'node:path'
import { UnderstudyError } from '../errors.ts'

/** Files of ours that say `format` say this one; a higher one is a newer version's. */
const FORMAT = 1

/** Writes beside, syncs, renames over, syncs the folder: durable when it returns. `mode` is the file's permission bits. */
export function writeFileAtomic(path: string, content: string, mode = 0o600): void {
  replaceFile(path, content, mode, fsyncSync)
  syncFolder(dirname(path))
}

/**
 * The same without the sync, for what is void after a power loss anyway (which processes run): old or new content after
 * the death of any process, and never a wait for a slow disk.
 */
export function writeFileUnsynced(path: string, content: string, mode = 0o600): void {
  replaceFile(path, content, mode, () => {})
}

function replaceFile(path: string, content: string, mode: number, sync: (file: number) => void): void {
  mkdirSync(dirname(path), { recursive: true })
  const beside = `${path}.${process.pid}.new`
  const file = openSync(beside, 'w', mode)
  try {
    try {
      writeFileSync(file, content) // all of it or an error: one `write` may take a part on a disk that fills up
      sync(file)
    } finally {
      closeSync(file)
    }
    renameSync(beside, path)
  } catch (error) {
    rmSync(beside, { force: true })
    throw error
  }
}

/** The names in it are on the disk, too. */
export function syncFolder(path: string): void {
  const folder = openSync(path, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

/** The content as text; undefined when there is no such file. Throws UND_STATE_UNREADABLE for anything else. */
export function readText(path: string): string | undefined {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw unreadable(path, (error as Error).message, error)
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (error) {
    throw unreadable(path, 'it is damaged: not text in UTF-8', error)
  }
}

/** The parsed content; undefined when there is no such file. Throws UND_STATE_UNREADABLE for anything else. */
export function readJson(path: string): unknown {
  const text = readText(path)
  if (text === undefined) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw unreadable(path, `it is damaged: ${text === '' ? 'empty' : (error as Error).message}`, error)
  }
  const format = (value as { format?: unknown } | null)?.format
  if (typeof format === 'number' && format > FORMAT) {
    throw unreadable(path, `a newer version of Understudy wrote it (format ${format}; this one reads ${FORMAT})`)
  }
  return value
}

/**
 * The same for a file that speaks of processes and is written without a sync: no process outlives its boot, so a file that
 * cannot be made sense of and was last written before this boot says nothing (a power loss may leave it empty).
 */
export function readOfThisBoot<T>(path: string, read: (value: unknown) => T | undefined): T | undefined {
  try {
    const value = readJson(path)
    if (value === undefined) return undefined
    const understood = read(value)
    if (understood === undefined) throw unreadable(path, 'it is damaged: it does not say which process it is about')
    return understood
  } catch (error) {
    if (wasWrittenBeforeBoot(path)) return undefined
    throw error
  }
}

function wasWrittenBeforeBoot(path: string): boolean {
  try {
    return statSync(path).mtimeMs < Date.now() - uptime() * 1_000 - CLOCK_SLACK_MS
  } catch {
    return false // it cannot be told: then it may be of this boot
  }
}

/** For the wall clock, which was set since. */
const CLOCK_SLACK_MS = 10_000

/** For a file that is there and is not what it should be; `why` completes "PATH cannot be used: ". */
export function unreadable(path: string, why: string, cause?: unknown): UnderstudyError {
  const message = `${path} cannot be used: ${why}. It was left as it is: repair it, restore it, or remove it`
  return new UnderstudyError('UND_STATE_UNREADABLE', message, { cause })
}

/** There is no such file or folder. */
export function isAbsent(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOENT' || code === 'ENOTDIR'
}

export function removeFile(path: string): void {
  rmSync(path, { force: true })
}

/** The last bytes of a file as text, however long it is; nothing of a file that is not there. */
export function readTail(path: string, mostBytes: number): string {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch {
    return '' // it was never written
  }
  try {
    const { size } = fstatSync(file)
    const bytes = Buffer.alloc(Math.min(size, mostBytes))
    const read = readSync(file, bytes, 0, bytes.length, size - bytes.length)
    return bytes.toString('utf8', 0, read)
  } finally {
    closeSync(file)
  }
}
