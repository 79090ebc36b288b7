/** What a fence saves for its successor and the next agent: which deadlines it kept, and which shell stands behind it. */
import { bootId } from '../lib/boot.ts'
import { readJson } from '../lib/files.ts'
import type { ProcessIdentity } from '../lib/proc.ts'
import { type Armed, isArmed, isIdentity, isObject } from './fence-protocol.ts'

export interface Saved {
  readonly bootId: string
  /** Who wrote it. */
  readonly fence: ProcessIdentity | undefined
  /** The last guard that it kept (last-guard.ts). */
  readonly guard: ProcessIdentity | undefined
  readonly armed: readonly Armed[]
}

export const NOTHING_SAVED: Saved = { bootId: bootId(), fence: undefined, guard: undefined, armed: [] }

/**
 * Deadlines and pids of an earlier boot mean nothing; without a file the agent arms again what it knows. Throws
 * UND_STATE_UNREADABLE.
 */
export function readSaved(path: string): Saved {
  const saved = readJson(path)
  if (!isObject(saved) || saved.bootId !== NOTHING_SAVED.bootId || !Array.isArray(saved.armed)) return NOTHING_SAVED
  return {
    bootId: NOTHING_SAVED.bootId,
    fence: isIdentity(saved.fence) ? saved.fence : undefined,
    guard: isIdentity(saved.guard) ? saved.guard : undefined,
    armed: saved.armed.filter(isArmed),
  }
}
