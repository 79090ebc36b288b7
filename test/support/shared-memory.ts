/**
 * A PostgreSQL that is killed leaves shared memory behind, and its next start in the same folder takes that away. A test ends
 * with a kill and removes the folder: what is left is never taken away, and after 4,096 of them (kernel.shmmni) no
 * server starts on that machine any more. So what appeared during a run and belongs to a dead server is removed at its end.
 *
 * Runs overlap, so a file of dynamic shared memory is dead only when no living server is old enough to have made it. Whether a
 * process maps it proves nothing: one that was just made is not mapped yet, and a pinned one (cumulative statistics) may be
 * unmapped for long and is opened again by the next session.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { processState } from '../../src/lib/proc.ts'

const SEGMENTS = '/proc/sysvipc/shm'
const FILES = '/dev/shm'
/** A postmaster's segment holds nothing but who it is. */
const SEGMENT_BYTES = 56
/** In /proc, whatever the kernel's own clock is. */
const TICKS_PER_SECOND = 100
/** The moment of boot is told in whole seconds, and a clock is set. */
const CLOCK_DOUBT_MS = 5_000

interface Left {
  /** System V segments by number, and files of dynamic shared memory by name. */
  readonly segments: readonly string[]
  readonly files: readonly string[]
}

/** Of PostgreSQL servers that are dead. */
export function leftBehind(): Left {
  return { segments: segments(), files: files() }
}

/** For vitest: what was there before is another's. Returns what is called at the end of the run. */
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

export interface MemoryFile {
  readonly name: string
  readonly uid: number
  readonly madeAtMs: number
}

export interface ServerProcess {
  readonly uid: number
  readonly startedAtMs: number
}

/** Those that no living server can have made: of its account each began later. */
export function deadFiles(files: readonly MemoryFile[], servers: readonly ServerProcess[]): string[] {
  const isDead = ({ uid, madeAtMs }: MemoryFile) =>
    servers.every((server) => server.uid !== uid || server.startedAtMs - CLOCK_DOUBT_MS > madeAtMs)
  return files.filter(isDead).map(({ name }) => name)
}

function files(): string[] {
  if (!existsSync(FILES)) return []
  const names = readdirSync(FILES).filter((name) => name.startsWith('PostgreSQL.'))
  const made = names.flatMap((name): MemoryFile[] => {
    const found = statSync(join(FILES, name), { throwIfNoEntry: false })
    return found ? [{ name, uid: found.uid, madeAtMs: found.mtimeMs }] : []
  })
  return deadFiles(made, servers()) // looked for afterwards: who made one of them is among them
}

/** Every process of every server: one whose postmaster was killed may still use what is left. */
function servers(): ServerProcess[] {
  const bootMs = Number(/^btime (\d+)$/m.exec(readFileSync('/proc/stat', 'utf8'))?.[1]) * 1_000
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        if (readFileSync(`/proc/${pid}/comm`, 'utf8').trim() !== 'postgres') return []
        const startTime = processState(Number(pid))?.startTime ?? 0
        const { uid } = statSync(`/proc/${pid}`)
        return [{ uid, startedAtMs: bootMs + (startTime * 1_000) / TICKS_PER_SECOND }]
      } catch {
        return [] // it has ended
      }
    })
}
