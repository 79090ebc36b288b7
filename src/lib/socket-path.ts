/**
 * Where a Unix socket of a folder goes. The kernel allows some 107 bytes for a socket's path; a state folder may be
 * deeper than that. Then the socket lives in the system's folder for temporary files, under a name made from the
 * folder's.
 *
 * Any user can work that name out and create it first, and the owner of a folder decides what answers in it: a foreign
 * fence could say that it has fenced. So the folder must be ours before a socket is looked for in it.
 */
import { createHash } from 'node:crypto'
import { lstatSync, mkdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { UnderstudyError } from '../errors.ts'

const MAX_BYTES = 100

/** `owner`: whom the folder may belong to besides ourselves. Throws UND_STATE_NOT_WRITABLE when it is another's. */
export function socketPath(dir: string, name: string, owner?: number): string {
  const beside = join(resolve(dir), name)
  if (Buffer.byteLength(beside) <= MAX_BYTES) return beside
  const short = elsewhere(dir)
  mkdirSync(short, { recursive: true, mode: 0o700 })
  const found = lstatSync(short)
  if (found.isDirectory() && [process.getuid?.() ?? found.uid, owner].includes(found.uid)) return join(short, name)
  throw new UnderstudyError(
    'UND_STATE_NOT_WRITABLE',
    `${short} is not ours (it belongs to user number ${found.uid}), and a socket in it would not be either: remove it, or give the state folder a shorter path`,
  )
}

/** Nothing listens for this folder any more: takes away what `socketPath` made for it elsewhere. */
export function removeSocketsOf(dir: string): void {
  rmSync(elsewhere(dir), { recursive: true, force: true })
}

function elsewhere(dir: string): string {
  const hash = createHash('sha256').update(resolve(dir)).digest('hex').slice(0, 16)
  return join(tmpdir(), `understudy-${hash}`)
}
