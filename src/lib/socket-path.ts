/**
 * Where a Unix socket of a folder goes. The kernel allows some 107 bytes for a socket's path; a state folder may be
 * deeper than that. Then the socket lives in the system's folder for temporary files, under a name made from the folder's.
 */
import { createHash } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const MAX_BYTES = 100

export function socketPath(dir: string, name: string): string {
  const beside = join(resolve(dir), name)
  if (Buffer.byteLength(beside) <= MAX_BYTES) return beside
  const hash = createHash('sha256').update(resolve(dir)).digest('hex').slice(0, 16)
  const short = join(tmpdir(), `understudy-${hash}`)
  mkdirSync(short, { recursive: true, mode: 0o700 })
  return join(short, name)
}
