/**
 * What a balancer knows without an agent: the last table it accepted, and the highest term it ever saw of each service.
 * It is written right after a table is taken into use and never waited for: a slow disk must not stop the balancer.
 * Killed in between, a balancer comes back with the table before, until its agent connects.
 */

import { mkdir, open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { RoutingTable } from '../core/routing-table.ts'
import { inBackground } from '../lib/background.ts'
import { readJson, unreadable } from '../lib/files.ts'
import { readTable } from './read-table.ts'

export interface Saved {
  readonly table: RoutingTable
  readonly highestTerms: Readonly<Record<string, number>>
}

/** Writes the newest state, one write at a time; what was overtaken while one was under way is never written. */
export class Saver {
  readonly #path: string
  readonly #onFailed: (error: unknown) => void
  #next: Saved | undefined
  #busy = false

  constructor(path: string, onFailed: (error: unknown) => void) {
    this.#path = path
    this.#onFailed = onFailed
  }

  save(saved: Saved): void {
    this.#next = saved
    if (!this.#busy) inBackground(this.#writeAll(), 'saving the table')
  }

  async #writeAll(): Promise<void> {
    this.#busy = true
    for (let saved = this.#next; saved; saved = this.#next) {
      this.#next = undefined
      await writeWhole(this.#path, JSON.stringify(saved)).catch(this.#onFailed)
    }
    this.#busy = false
  }
}

/** The old or the new content after a crash at any moment: written beside, synced, renamed over. */
async function writeWhole(path: string, content: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const beside = `${path}.${process.pid}.new`
  const file = await open(beside, 'w', 0o600)
  try {
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(beside, path)
}

/**
 * Undefined when there is no file. Throws UND_STATE_UNREADABLE when there is one that cannot be used; the balancer then
 * says so and waits for its agent, whose first table replaces the file: the agent knows better anyway.
 */
export function readSaved(path: string): Saved | undefined {
  const value = readJson(path)
  if (value === undefined) return undefined
  if (typeof value !== 'object' || value === null || !('table' in value)) throw unreadable(path, 'it holds no table')
  const table = readTable(value.table)
  if (typeof table === 'string') throw unreadable(path, table)
  return { table, highestTerms: 'highestTerms' in value ? readTerms(value.highestTerms) : {} }
}

function readTerms(value: unknown): Record<string, number> {
  if (typeof value !== 'object' || value === null) return {}
  return Object.fromEntries(Object.entries(value).filter(([, term]) => typeof term === 'number'))
}
