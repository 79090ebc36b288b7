/**
 * The key of the nodes, which seals secrets: the file `secrets.key` in the state folder, read when it is needed and kept in memory
 * no longer. It is made with the first secret and never again: with another one, what is sealed would be lost without a word.
 */
import { randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, linkSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { readText, syncFolder, unreadable } from '../lib/files.ts'
import { KEY_BYTES } from '../lib/sealed-text.ts'

/** 32 random bytes in base64url. */
const SHAPE = /^[\w-]{43}\n?$/

/** Undefined when there is none. Throws UND_STATE_UNREADABLE. */
export function readSecretsKey(path: string): Buffer | undefined {
  const text = readText(path)
  if (text === undefined) return undefined
  const key = Buffer.from(text.trim(), 'base64url')
  if (SHAPE.test(text) && key.length === KEY_BYTES) return key
  throw unreadable(path, 'it is damaged: it does not hold the 43 characters of a key')
}

/** Makes one unless it is there: of several agents that try, one makes it and all use that. Throws UND_STATE_UNREADABLE. */
export function keepSecretsKey(path: string): Buffer {
  const kept = readSecretsKey(path)
  if (kept) return kept
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const beside = `${path}.${process.pid}.new`
  rmSync(beside, { force: true }) // of an earlier process of this number
  const file = openSync(beside, 'wx', 0o600)
  try {
    try {
      writeFileSync(file, `${randomBytes(KEY_BYTES).toString('base64url')}\n`)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    linkUnlessThere(beside, path)
  } finally {
    rmSync(beside, { force: true })
  }
  syncFolder(dirname(path))
  const made = readSecretsKey(path)
  if (made) return made
  throw unreadable(path, 'it was removed a moment after it was made')
}

/** Unlike a rename, a link replaces nothing. */
function linkUnlessThere(from: string, to: string): void {
  try {
    linkSync(from, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}
