/**
 * One process with everything that it starts, from the moment it has an identity until nothing of it is left.
 *
 * The invariant: `gone` resolves only when no process of the group runs. A leader that ends by itself takes its group with
 * it (SIGKILL): what a dead primary leaves behind must not write either. Only while it was asked to end, and has its
 * grace, may the leader go before the others.
 */
import type { ChildProcess } from 'node:child_process'
import { type Cancel, type Clock, sleep } from '../../lib/clock.ts'
import { groupIsAlive, type ProcessIdentity, signalGroup } from '../../lib/proc.ts'
import type { Stop } from '../../lib/stop.ts'
import type { Ending } from './ending.ts'
import { watchProcess } from './process-watch.ts'

/** Between two looks at whether a dying group is gone: often at first, because a successor may be waiting for it. */
const LOOK_AGAIN_MS = 5
const LOOK_AGAIN_SLOW_MS = 50
const QUICK_LOOKS = 100

export interface InstanceParts {
  readonly identity: ProcessIdentity
  /** Null when an earlier agent was its parent. */
  readonly child: ChildProcess | null
  readonly clock: Clock
  /** `hung` has changed. */
  onHung(): void
  /** The leader has ended; others of its group may still be there. */
  onEnded(): void
}

export class Instance {
  readonly identity: ProcessIdentity
  /** Resolves when nothing of it is left. Never, when it was let go before. */
  readonly gone: Promise<Ending>
  readonly #clock: Clock
  readonly #unwatch: Stop
  #hung = false
  #inGrace = false
  #endGrace: Cancel = () => {}
  #isGone = false

  constructor(parts: InstanceParts) {
    this.identity = parts.identity
    this.#clock = parts.clock
    let onEnd: (ending: Ending) => void = () => {}
    const ended = new Promise<Ending>((resolve) => {
      onEnd = resolve
    })
    this.#unwatch = watchProcess({
      identity: parts.identity,
      child: parts.child,
      clock: parts.clock,
      onEnd,
      onHung: (hung) => {
        this.#hung = hung
        if (hung && this.#inGrace) this.kill()
        parts.onHung()
      },
    })
    this.gone = ended.then((ending) => {
      parts.onEnded()
      return this.#clearAway(ending)
    })
  }

  get hung(): boolean {
    return this.#hung
  }

  /**
   * Asks the group to end and kills it after `graceMs`, which is when `onOverdue` is called. Who is stopped by a signal
   * cannot hear, so it is killed at once.
   */
  async ask(name: NodeJS.Signals, graceMs: number, onOverdue: () => void = () => {}): Promise<void> {
    if (this.#hung) return this.kill()
    this.#inGrace = true
    if (!this.#isGone) signalOurs(this.identity.pid, name)
    this.#endGrace = this.#clock.after(graceMs, () => {
      onOverdue()
      this.kill()
    })
    await this.gone
    this.#endGrace()
  }

  /** Kills the whole group at once. SIGKILL also ends what is stopped. */
  kill(): void {
    this.#inGrace = false
    // Once it is gone its number may belong to another process.
    if (!this.#isGone) signalOurs(this.identity.pid, 'SIGKILL')
  }

  /** Looks away; whatever runs goes on running. */
  letGo(): void {
    this.#endGrace()
    this.#unwatch()
  }

  async #clearAway(ending: Ending): Promise<Ending> {
    this.#hung = false
    await killRemains(this.identity.pid, this.#clock, () => this.#inGrace)
    this.#isGone = true
    return ending
  }
}

/** Resolves when nothing of the group runs; kills it, unless and as long as it is `spared`. */
export async function killRemains(group: number, clock: Clock, spared: () => boolean = () => false): Promise<void> {
  for (let looks = 0; ; looks += 1) {
    if (!spared()) signalOurs(group, 'SIGKILL')
    if (!isPresent(group)) return
    await sleep(clock, looks < QUICK_LOOKS ? LOOK_AGAIN_MS : LOOK_AGAIN_SLOW_MS)
  }
}

function signalOurs(group: number, name: NodeJS.Signals): void {
  try {
    signalGroup(group, name)
  } catch {
    // What is left changed its user and is not ours to signal. It counts as present, so it is not taken for dead.
  }
}

function isPresent(group: number): boolean {
  try {
    return groupIsAlive(group)
  } catch {
    return true // not ours to signal, as above
  }
}
