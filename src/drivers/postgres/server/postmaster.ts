/**
 * The postmaster: started as the leader of a session of its own, so that it outlives the agent; found again by the next
 * agent through postmaster.pid; its end seen at once.
 *
 * Every child of a postmaster makes itself a session of its own, so signals to its process group reach the postmaster alone.
 * What belongs to a server is told by something better: all of its processes stand in its data folder (/proc/PID/cwd). That
 * finds those too that outlived their postmaster, or were frozen, which PostgreSQL itself would trip over at its next start.
 */
import type { ChildProcess } from 'node:child_process'
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { UnderstudyError } from '../../../errors.ts'
import type { Clock } from '../../../lib/clock.ts'
import { readJson, readText, removeFile } from '../../../lib/files.ts'
import { childrenOf, identify, isAlive, type ProcessIdentity, processState, signal } from '../../../lib/proc.ts'
import { realFolder, standsIn } from '../../../lib/proc-folder.ts'
import type { Stop } from '../../../lib/stop.ts'
import { superviseLoop } from '../../../lib/supervised-loop.ts'
import { until } from '../../../lib/until.ts'
import { spawnAs } from '../../as-account.ts'
import type { Folder } from '../files/replica-folder.ts'
import { fixedArguments } from '../files/server-settings.ts'
import { settingsInFiles } from '../files/setting-files.ts'
import type { Binaries } from './binaries.ts'

/** How often an adopted postmaster is looked at: a child that is ours says itself that it ended. */
const LOOK_EVERY_MS = 20

export class Postmaster {
  readonly identity: ProcessIdentity
  /** Resolves with a sentence when it is gone. */
  readonly gone: Promise<string>
  /** How it ended, as a sentence; '' while it runs. */
  how = ''
  #gone = false
  #ended: (how: string) => void = () => {}
  readonly #clock: Clock
  #cancelLook: Stop = () => {}

  /** Where its output begins in the log file: what is before that is of an earlier one. 0 when an earlier agent started it. */
  readonly logFrom: number

  constructor(identity: ProcessIdentity, child: ChildProcess | null, clock: Clock, logFrom = 0) {
    this.identity = identity
    this.logFrom = logFrom
    this.#clock = clock
    this.gone = new Promise((resolve) => {
      this.#ended = (how) => {
        if (this.#gone) return
        this.#gone = true
        this.how = how
        this.#cancelLook()
        resolve(how)
      }
    })
    child?.once('exit', (code, killed) => this.#ended(killed ? `killed by ${killed}` : `ended with code ${code}`))
    this.#look()
  }

  get isGone(): boolean {
    return this.#gone
  }

  /** Stopped by a signal: alive and deaf. */
  get isFrozen(): boolean {
    return processState(this.identity.pid)?.letter === 'T'
  }

  signal(name: NodeJS.Signals): boolean {
    return !this.#gone && signal(this.identity, name)
  }

  /** Looks now, because something hints that it ended. */
  check(): void {
    if (!this.#gone && !isAlive(this.identity)) this.#ended('ended')
  }

  /** No more looking; it goes on running. */
  letGo(): void {
    this.#cancelLook()
  }

  #look(): void {
    const loop = { clock: this.#clock, what: 'the look for a postmaster', everyMs: LOOK_EVERY_MS }
    this.#cancelLook = superviseLoop({ ...loop, work: () => this.check() }).stop
  }
}

/** Starts it; resolves as soon as it runs. Its output goes to the log file. `more`: further arguments of the command line. */
export async function launch(
  folder: Folder,
  binaries: Binaries,
  clock: Clock,
  more: readonly string[] = [],
): Promise<Postmaster> {
  await killRemains(folder.data, clock)
  folder.openTheWay()
  // Nothing runs in the data folder: a process with the number in these files is another one, or a corpse not yet
  // reaped.
  removeFile(join(folder.data, 'postmaster.pid'))
  for (const name of socketLocks(folder)) removeFile(join(folder.sockets, name))
  const log = openSync(folder.logPath, 'a', 0o600)
  const logFrom = fstatSync(log).size
  const { account } = folder
  try {
    const child = spawnAs(account, binaries.postgres, ['-D', folder.data, ...fixedArguments(), ...more], {
      cwd: folder.data,
      env: { ...serverEnvironment(), ...binaries.env },
      detached: true,
      stdio: ['ignore', log, log],
    })
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve)
      child.once('error', (cause) => {
        reject(new UnderstudyError('UND_REFUSED', `${binaries.postgres} cannot be run: ${cause.message}`, { cause }))
      })
    })
    child.unref()
    const identity = child.pid === undefined ? undefined : identify(child.pid)
    if (!identity) throw new UnderstudyError('UND_REFUSED', `postgres ended at once: ${lastWords(folder, logFrom)}`)
    return new Postmaster(identity, child, clock, logFrom)
  } finally {
    closeSync(log)
  }
}

function socketLocks(folder: Folder): string[] {
  try {
    return readdirSync(folder.sockets).filter((name) => /^\.s\.PGSQL\.\d+\.lock$/.test(name))
  } catch {
    return [] // no server has run here yet
  }
}

/**
 * The postmaster that runs on this data already; null when there is none. It has postmaster.pid in the data folder; one whose
 * folder was removed or moved away has not, and is found by what we wrote down when we started it.
 */
export function findPostmaster(folder: Folder, clock: Clock): Postmaster | null {
  const found = runningServer(folder)
  return found === undefined ? null : new Postmaster(found, null, clock)
}

export function runningServer(folder: Pick<Folder, 'data' | 'identityPath'>): ProcessIdentity | undefined {
  const written = identify(Number(readText(join(folder.data, 'postmaster.pid'))?.split('\n')[0]))
  // A pid file may be older than the machine's boot: only a process that stands in the data folder is the postmaster.
  if (written && standsIn(written.pid) === realFolder(folder.data)) return written
  const started = startedBefore(folder)
  return started && isServer(started.pid) && isAlive(started) ? started : undefined
}

/**
 * Another node's server that runs on this folder, as the name of that node; null: there is none. What it runs with says whose
 * it is; one that an operator started by hand on a folder of ours runs with our own name.
 */
export function otherOwner(folder: Folder, node: string): string | null {
  const owner = settingsInFiles(folder.data).get('cluster_name')
  const isOurs = readText(join(folder.data, 'understudy.conf')) !== undefined
  if (!isOurs || owner === undefined || owner === '' || owner === node) return null
  return everythingOf(folder.data).length > 0 ? owner : null
}

function startedBefore(folder: Pick<Folder, 'identityPath'>): ProcessIdentity | undefined {
  try {
    const { pid, startTime } = readJson(folder.identityPath) as Partial<ProcessIdentity>
    return pid === undefined || startTime === undefined ? undefined : { pid, startTime }
  } catch {
    return undefined // not there, or half of one after a loss of power, when nothing of it runs any more
  }
}

/** The port in postmaster.pid of a server that runs. */
export function portInUse(folder: Pick<Folder, 'data'>): number | null {
  return Number(readText(join(folder.data, 'postmaster.pid'))?.split('\n')[3]) || null
}

/** Kills everything that stands in the data folder; resolves when nothing of it is left. */
export async function killRemains(dataDir: string, clock: Clock): Promise<void> {
  const first = everythingOf(dataDir)
  if (first.length === 0) return
  // The postmaster last would start new children; frozen first, it cannot.
  for (const process of first) signal(process, 'SIGSTOP')
  await until({ clock, everyMs: 5, withinMs: 10_000, what: 'the end of the server' }, () => {
    const left = everythingOf(dataDir)
    for (const process of left) signal(process, 'SIGKILL')
    return left.length === 0
  })
}

/** Also what stands in a folder that was removed from that place. */
export function everythingOf(dataDir: string): ProcessIdentity[] {
  const parent = realFolder(dirname(dataDir))
  const folders = [realFolder(dataDir), parent && `${join(parent, basename(dataDir))} (deleted)`]
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return []
    const folder = standsIn(Number(name))
    if (folder === null || !folders.includes(folder) || !isServer(Number(name))) return []
    return identify(Number(name)) ?? []
  })
}

/** Kills a postmaster and its children, wherever they stand: its folder may have been moved away. */
export function killServer(postmaster: ProcessIdentity): void {
  if (!signal(postmaster, 'SIGSTOP')) return // it is gone; its children see that by themselves
  const children = childrenOf(postmaster.pid).flatMap((pid) => identify(pid) ?? [])
  for (const process of [...children, postmaster]) signal(process, 'SIGKILL')
}

/** A process that merely has the folder as its working directory (a shell) is no part of the server. */
function isServer(pid: number): boolean {
  return /^(postgres|postmaster|pg_rewind)$/.test(commandOf(pid))
}

/** The receivers among the children of a postmaster, also when it does not answer. */
export function receiversOf(postmaster: ProcessIdentity): ProcessIdentity[] {
  return childrenOf(postmaster.pid).flatMap((pid) =>
    /^postgres: (.*: )?walreceiver/.test(titleOf(pid)) ? (identify(pid) ?? []) : [],
  )
}

/** The workers that synchronise logical slots (from version 17 on). */
export function slotWorkersOf(postmaster: ProcessIdentity): ProcessIdentity[] {
  return childrenOf(postmaster.pid).flatMap((pid) =>
    /^postgres: (.*: )?slotsync worker/.test(titleOf(pid)) ? (identify(pid) ?? []) : [],
  )
}

function titleOf(pid: number): string {
  return readProc(pid, 'cmdline').replaceAll('\0', ' ')
}

function commandOf(pid: number): string {
  return readProc(pid, 'comm').trim()
}

function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return '' // gone meanwhile
  }
}

/** How much of the log file's end is read: the file may be large, and the agent has other work. */
const LAST_WORDS_BYTES = 65_536

/** What the server wrote to its log file last, or since the file had `from` bytes. */
export function endOfLog(folder: Folder, from = 0): string[] {
  try {
    const file = openSync(folder.logPath, 'r')
    try {
      const { size } = fstatSync(file)
      const bytes = Math.min(LAST_WORDS_BYTES, size - (from > size ? 0 : from)) // shorter than it was: it was rotated
      const text = Buffer.alloc(bytes)
      const read = readSync(file, text, 0, bytes, size - bytes)
      return text.toString('utf8', 0, read).trimEnd().split('\n')
    } finally {
      closeSync(file)
    }
  } catch {
    return [] // no log file yet: it never printed anything
  }
}

/**
 * The last line of the server's log file that says why it could not go on. `from`: where the output of this server
 * begins, so that an earlier one's lines are not taken for its own. What it prints before it has read its config comes
 * without a level (`postgres: could not access directory …`), and the advice after that is not the reason.
 */
export function lastWords(folder: Folder, from = 0): string {
  const lines = endOfLog(folder, from)
  const index = lines.findLastIndex((line) =>
    /\b(FATAL|PANIC|ERROR)\b|^\S*postgres: |execution of the PostgreSQL/.test(line),
  )
  const telling = index === -1 ? lines.at(-1) : lines[index]
  const words = telling?.replace(/^(.*?\b(FATAL|PANIC|ERROR):\s*|\S*postgres: )/, '') ?? ''
  const before = lines.slice(0, index).findLast((line) => /\bLOG:/.test(line))
  // Which line of the file and what is wrong with it was said just before.
  if (/contains errors/.test(words) && before) return `${words}: ${before.replace(/^.*?\bLOG:\s*/, '')}`
  return words === '' ? 'it said nothing' : words
}

/** No more of the agent's environment than a server needs. */
export function serverEnvironment(): Record<string, string> {
  const { PATH = '/usr/bin:/bin', TZ = 'UTC', UNDERSTUDY_NODE_FOLDER } = process.env
  // `down` finds it by that when the state folder is gone.
  return { PATH, LC_ALL: 'C.UTF-8', TZ, ...(UNDERSTUDY_NODE_FOLDER !== undefined && { UNDERSTUDY_NODE_FOLDER }) }
}
