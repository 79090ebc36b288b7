/**
 * Processes that cannot be mistaken for others. A pid alone is a lie waiting to happen: the kernel hands it out again.
 * A pid with the moment the process started (field 22 of /proc/PID/stat, in clock ticks since boot) is one process only.
 * Reading /proc costs some 20 µs, so it may be done often. Linux only, as the package says.
 */
import { readdirSync, readFileSync } from 'node:fs'

export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks between the machine's boot and the start of the process. */
  readonly startTime: number
}

export interface ProcessState extends ProcessIdentity {
  /** The kernel's letter: R running, S sleeping, D waiting for a disk, T stopped by a signal, Z dead but not reaped, … */
  readonly letter: string
  readonly parent: number
  readonly group: number
}

/**
 * Fields 3 to 5 and 22. The name (field 2) is in parentheses and may itself contain blanks and parentheses: count from the last one.
 * Not split at the blanks: that makes fifty texts of which four are used, some hundred times a second.
 */
const AFTER_NAME = /^.*\) (\S+) (\S+) (\S+) (?:\S+ ){16}(\S+)/s

/** What the kernel says of a pid now; undefined when there is no such process. */
export function processState(pid: number): ProcessState | undefined {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8') // of all encodings the one that Node reads in a single call
  } catch {
    return undefined // no such process: /proc has no other reason that matters to a reader
  }
  const [, letter = '?', parent, group, startTime] = AFTER_NAME.exec(stat) ?? []
  return { pid, letter, parent: Number(parent), group: Number(group), startTime: Number(startTime) }
}

/** The identity of a live process, to be written down; undefined when it is gone or only waits to be reaped. */
export function identify(pid: number): ProcessIdentity | undefined {
  const state = processState(pid)
  return state && !isCorpse(state) ? { pid, startTime: state.startTime } : undefined
}

/** What exactly this process does, in one look; undefined when it is gone. An unreaped corpse is gone. */
export function livingState(identity: ProcessIdentity): ProcessState | undefined {
  const state = processState(identity.pid)
  return state && state.startTime === identity.startTime && !isCorpse(state) ? state : undefined
}

/** Is exactly this process still there? */
export function isAlive(identity: ProcessIdentity): boolean {
  return livingState(identity) !== undefined
}

/**
 * Does any process have this pid? Costs a twentieth of reading /proc, and proves less: it may be a corpse, or another
 * process that got the number since. For looking often, between real looks.
 */
export function pidIsTaken(pid: number): boolean {
  try {
    return send(pid, 0)
  } catch {
    return true // not ours to signal, and there all the same
  }
}

/** Sends a signal to exactly this process; false when it is gone. */
export function signal(identity: ProcessIdentity, name: NodeJS.Signals): boolean {
  return isAlive(identity) && send(identity.pid, name)
}

/** Sends a signal to a whole process group; false when nothing is left of it. */
export function signalGroup(group: number, name: NodeJS.Signals): boolean {
  return send(-group, name)
}

/** Does anything of the group still run? The kernel counts corpses as members; we do not. */
export function groupIsAlive(group: number): boolean {
  if (!send(-group, 0)) return false
  return livePids().some((pid) => {
    const state = processState(pid)
    return state !== undefined && state.group === group && !isCorpse(state)
  })
}

/**
 * A process and everything that it started and that still has it as its parent, directly or not; it comes first, so
 * that a signal to all of them in this order leaves no new process when it has reached the last.
 */
export function familyOf(leader: ProcessIdentity): ProcessIdentity[] {
  if (!isAlive(leader)) return []
  const family = [leader]
  for (const { pid } of family) family.push(...childrenOf(pid).flatMap((child) => identify(child) ?? []))
  return family
}

/** Children of a process's main thread, from which Node and PostgreSQL start all of theirs. */
export function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ').filter(Boolean).map(Number)
  } catch {
    return [] // the process is gone, and its children with it or about to
  }
}

function livePids(): number[] {
  return readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []))
}

function isCorpse(state: ProcessState): boolean {
  return state.letter === 'Z' || state.letter === 'X'
}

function send(target: number, name: NodeJS.Signals | 0): boolean {
  try {
    process.kill(target, name)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error // EPERM: it exists and is not ours to signal; hiding that would call a live process dead
  }
}
