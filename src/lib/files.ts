/** Small state files that are either the old or the new content after a crash at any moment, never half of one. */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

/** Writes beside, syncs, renames over. `mode` is the file's permission bits. */
export function writeFileAtomic(path: string, content: string, mode = 0o600): void {
  replaceFile(path, content, mode, fsyncSync)
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
    writeSync(file, content)
    sync(file)
  } finally {
    closeSync(file)
  }
  renameSync(beside, path)
}

/** The parsed content; undefined when there is no file or it is not JSON (a leftover of another program). */
export function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    return undefined // absent and unreadable mean the same to a reader of state: there is nothing to go by
  }
}

export function removeFile(path: string): void {
  rmSync(path, { force: true })
}
