/**
 * What a fence saves for its successor and the next agent: which deadlines it kept, and which shell stands behind it.
 *
 * It changes with each renewal, so it is kept in memory where there is such a place (lib/memory-folder.ts), and in the state folder
 * otherwise. A reader looks in both and takes what was written last: a folder in memory may vanish, be full, or be
 * another's. docs/decisions/0008 says why losing it breaks no promise.
 */
import { rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { bootId } from '../lib/boot.ts'
import { readJson } from '../lib/files.ts'
import { toLine } from '../lib/json-lines.ts'
import { findMemoryFolder, makeMemoryFolder } from '../lib/memory-folder.ts'
import { PageFile } from '../lib/page-file.ts'
import type { ProcessIdentity } from '../lib/proc.ts'
import { type Armed, isArmed, isIdentity, isObject } from './fence-protocol.ts'

export interface Saved {
  readonly bootId: string
  /** Who wrote it. */
  readonly fence: ProcessIdentity | undefined
  /** The last guard that it kept (last-guard.ts). */
  readonly guard: ProcessIdentity | undefined
  readonly armed: readonly Armed[]
  /** On this boot's monotonic clock; what says nothing about it is the oldest. */
  readonly savedAtMono: number
}

export const NOTHING_SAVED: Saved = { bootId: bootId(), fence: undefined, guard: undefined, armed: [], savedAtMono: 0 }

/** `root`: where folders in memory are made; only tests say so. */
export interface SavedPlace {
  readonly path: string
  /** Default false: in the state folder. */
  readonly inMemory?: boolean
  readonly root?: string
}

/** The fence's side. One write at a time. */
export class SavedFile {
  readonly #place: SavedPlace
  #file: string | undefined
  #page: PageFile | undefined
  #inMemory: boolean

  constructor(place: SavedPlace) {
    this.#place = place
    this.#inMemory = place.inMemory ?? false
  }

  async write(saved: Omit<Saved, 'bootId'>): Promise<void> {
    const { path, root } = this.#place
    const folder = this.#inMemory ? makeMemoryFolder(dirname(path), root) : undefined
    try {
      await this.#writeTo(folder === undefined ? path : join(folder, basename(path)), saved)
    } catch (error) {
      if (folder === undefined) throw error
      this.#inMemory = false // memory that is full, or was emptied while we wrote
      return this.write(saved)
    }
    if (folder !== undefined) rmSync(path, { force: true }) // of a fence before: it must not be taken for ours later
  }

  async #writeTo(file: string, saved: Omit<Saved, 'bootId'>): Promise<void> {
    if (file !== this.#file || !this.#page) this.#page = new PageFile(file)
    this.#file = file
    await this.#page.write(toLine({ bootId: NOTHING_SAVED.bootId, ...saved }))
  }
}

/** Where it may lie. */
export function savedFiles(path: string, root?: string): readonly string[] {
  const folder = findMemoryFolder(dirname(path), root)
  return folder === undefined ? [path] : [join(folder, basename(path)), path]
}

/** What was saved last, in whichever place. Throws UND_STATE_UNREADABLE. */
export function readSaved(path: string, root?: string): Saved {
  return newest(savedFiles(path, root).map(readSavedFile))
}

export function newest(all: readonly Saved[]): Saved {
  return all.reduce((one, other) => (other.savedAtMono > one.savedAtMono ? other : one))
}

/**
 * Deadlines and pids of an earlier boot mean nothing; without a file the agent arms again what it knows. Throws
 * UND_STATE_UNREADABLE.
 */
export function readSavedFile(path: string): Saved {
  const saved = readJson(path)
  if (!isObject(saved) || saved.bootId !== NOTHING_SAVED.bootId || !Array.isArray(saved.armed)) return NOTHING_SAVED
  return {
    bootId: NOTHING_SAVED.bootId,
    fence: isIdentity(saved.fence) ? saved.fence : undefined,
    guard: isIdentity(saved.guard) ? saved.guard : undefined,
    armed: saved.armed.filter(isArmed),
    savedAtMono: typeof saved.savedAtMono === 'number' ? saved.savedAtMono : 0,
  }
}
