/**
 * How slow the machine is while something is judged. Bounds on time are for quiet machines; a test on a busy one grants
 * what was measured on top, once for each process on the way. The watch has to span all that is judged: a burst of other
 * work that is over by the end is not seen by a look at the end.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import { systemClock as clock } from '../../src/lib/clock.ts'

/** What a quiet machine takes, give or take: to start a Node process, to write one byte to the disk, to notice a timer. */
const QUIET_MS = { start: 60, write: 10, timer: 5 }
/** Between two processes: each costs some 50 ms of a core, and the watch must not be what makes the machine slow. */
const START_EVERY_MS = 500
/** Between two writes, and the timer that is watched: both cost next to nothing. */
const LOOK_EVERY_MS = 50

export interface Slowness {
  /** Ends the watch. The most by which anything took longer than on a quiet machine since the watch began. */
  ms(): Promise<number>
}

export function watchSlowness(): Slowness {
  return new Watch()
}

class Watch implements Slowness {
  readonly #over = new AbortController()
  readonly #ended: Promise<unknown>
  #worstMs = 0

  constructor() {
    this.#ended = Promise.all([this.#startProcesses(), this.#writeAndWait()])
    onTestFinished(() => this.#over.abort()) // a test that fails half-way never asks
  }

  async ms(): Promise<number> {
    this.#over.abort()
    await this.#ended // what is still being measured spans the end
    return this.#worstMs
  }

  async #startProcesses(): Promise<void> {
    while (!this.#over.signal.aborted) {
      const from = clock.mono()
      await once(spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' }), 'exit')
      this.#note(clock.mono() - from - QUIET_MS.start)
      await this.#pause(START_EVERY_MS)
    }
  }

  async #writeAndWait(): Promise<void> {
    const folder = mkdtempSync(join(tmpdir(), 'understudy-slowness-'))
    const opened = open(join(folder, 'byte'), 'w')
    const file = await opened.finally(() => rmSync(folder, { recursive: true })) // open, it needs no name
    while (!this.#over.signal.aborted) {
      const from = clock.mono()
      await file.write('x', 0)
      await file.sync()
      const written = clock.mono()
      this.#note(written - from - QUIET_MS.write)
      await this.#pause(LOOK_EVERY_MS)
      this.#note(clock.mono() - written - LOOK_EVERY_MS - QUIET_MS.timer)
    }
    await file.close()
  }

  /** Cut short by the end of the watch. */
  async #pause(forMs: number): Promise<void> {
    try {
      await pause(forMs, undefined, { signal: this.#over.signal, ref: false })
    } catch {
      // The watch is over.
    }
  }

  #note(excessMs: number): void {
    this.#worstMs = Math.max(this.#worstMs, excessMs)
  }
}
