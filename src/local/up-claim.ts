/**
 * One `up` at a time on one state folder. The claim is a file with the identity of its holder, so a claim of a process
 * that is gone is worth nothing and is taken over; a pid that was given to another program does not fool it.
 *
 * The trap is two that take over a dead claim at the same moment. `link` creates a file only where there is none, so
 * one of them loses; and the one that moves a dead claim aside checks again what it moved, and puts a living one back.
 */
import { linkSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { UnderstudyError } from '../errors.ts'
import { readIdentityFile } from '../lib/identity-file.ts'
import { identify, isAlive, type ProcessIdentity } from '../lib/proc.ts'

/** `more` ends the sentence. Throws UND_ALREADY_RUNNING when it is claimed, or UND_STATE_UNREADABLE when that cannot be told. Changes nothing. */
export function refuseIfClaimed(path: string, more = ''): void {
  const holder = claimHolder(path)
  if (holder) throw alreadyRunning(holder, more)
}

/** Claims the file for this process. Returns how to give it back. Throws as `refuseIfClaimed`. */
export function claim(path: string): () => void {
  refuseIfClaimed(path) // before anything is written, so that a refusal changes nothing, not even the time of a folder
  const own = `${path}.${process.pid}`
  writeFileSync(own, `${JSON.stringify({ ...identify(process.pid), since: new Date().toISOString() })}\n`, {
    mode: 0o600,
  })
  try {
    while (!linkIfFree(own, path)) {
      const holder = claimHolder(path)
      if (holder) throw alreadyRunning(holder)
      moveAside(path, `${own}.old`)
    }
  } finally {
    rmSync(own, { force: true })
  }
  return () => {
    if (claimHolder(path)?.pid === process.pid) rmSync(path, { force: true })
  }
}

/** The process that runs `up` there; undefined when there is none. Throws UND_STATE_UNREADABLE when that cannot be told. */
export function claimHolder(path: string): ProcessIdentity | undefined {
  const identity = readIdentityFile(path)
  return identity && isAlive(identity) ? identity : undefined
}

function moveAside(path: string, aside: string): void {
  try {
    renameSync(path, aside)
  } catch {
    return // another one was faster: the next look says what is so now
  }
  if (claimHolder(aside)) linkIfFree(aside, path)
  rmSync(aside, { force: true })
}

function linkIfFree(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

function alreadyRunning(holder: ProcessIdentity, more = ''): UnderstudyError {
  return new UnderstudyError(
    'UND_ALREADY_RUNNING',
    `this cluster is already kept running by process ${holder.pid}; look with “understudy status”, end it with “understudy down”${more}`,
  )
}
