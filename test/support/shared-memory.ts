/**
 * A PostgreSQL that is killed leaves shared memory behind, and its next start in the same folder takes that away. A test ends
 * with a kill and removes the folder: what is left is never taken away, and after 4,096 of them (kernel.shmmni) no
 * server starts on that machine any more. So what appeared during a run and belongs to nobody is removed at its end.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'

const SEGMENTS = '/proc/sysvipc/shm'
const FILES = '/dev/shm'
/** A postmaster's segment holds nothing but who it is. */
const SEGMENT_BYTES = 56

interface Left {
  /** System V segments by number, and files of dynamic shared memory by name. */
  readonly segments: readonly string[]
  readonly files: readonly string[]
}

/** Of PostgreSQL servers that are dead. */
export function leftBehind(): Left {
  return { segments: segments(), files: files() }
}

/** For vitest: what was there before is somebody else's. Returns what is called at the end of the run. */
export function setup(): () => void {
  const before = leftBehind()
  return () => {
    const now = leftBehind()
    for (const id of now.segments.filter((one) => !before.segments.includes(one))) spawnSync('ipcrm', ['-m', id])
    for (const name of now.files.filter((one) => !before.files.includes(one))) remove(join(FILES, name))
  }
}

function remove(path: string): void {
  try {
    rmSync(path, { force: true })
  } catch {
    // another user's, who may run a server that we cannot look into
  }
}

function segments(): string[] {
  if (!existsSync(SEGMENTS)) return []
  const [, ...lines] = readFileSync(SEGMENTS, 'utf8').trim().split('\n')
  return lines.flatMap((line) => {
    const [, id = '', , size, creator, , attached] = line.trim().split(/\s+/)
    const isDead = attached === '0' && !existsSync(`/proc/${creator}`)
    return Number(size) === SEGMENT_BYTES && isDead ? [id] : []
  })
}

function files(): string[] {
  if (!existsSync(FILES)) return []
  const mapped = mappedByAnybody()
  return readdirSync(FILES).filter((name) => name.startsWith('PostgreSQL.') && !mapped.has(name))
}

function mappedByAnybody(): Set<string> {
  const names = new Set<string>()
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      for (const [, name = ''] of readFileSync(`/proc/${pid}/maps`, 'utf8').matchAll(/\/dev\/shm\/(PostgreSQL\.\d+)/g))
        names.add(name)
    } catch {
      // it has ended, or is another user's: then its files are not ours to remove either
    }
  }
  return names
}
