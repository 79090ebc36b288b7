/**
 * Who is to die when. No clock and no signals: `now` is an argument.
 *
 * The last word counts, also when it is an earlier deadline: shortening a life is always safe. What has fallen due is
 * taken out, so that it is acted on once.
 */
import type { ProcessIdentity } from '../lib/proc.ts'
import type { Armed } from './fence-protocol.ts'

/** How long before a deadline the short looks begin, and how long one of them is. */
const NEAR_MS = 40
const SHORT_LOOK_MS = 10
/** A timer is never trusted for longer than this: it may be late, and lateness then has time to be made up for. */
const LONG_LOOK_MS = 1_000

export class FenceBook {
  readonly #armed = new Map<string, Armed>()

  arm(armed: Armed): void {
    this.#armed.set(key(armed), armed)
  }

  disarm(identity: ProcessIdentity): void {
    this.#armed.delete(key(identity))
  }

  list(): readonly Armed[] {
    return [...this.#armed.values()]
  }

  /** What has fallen due, in order of its deadline. */
  takeDue(now: number): readonly Armed[] {
    const due = this.list().filter((armed) => armed.killAtMono <= now)
    for (const armed of due) this.disarm(armed)
    return due.sort((a, b) => a.killAtMono - b.killAtMono)
  }

  /** How long to sleep before looking again; undefined when nothing is armed. */
  lookInMs(now: number): number | undefined {
    if (this.#armed.size === 0) return undefined
    const leftMs = Math.min(...this.list().map((armed) => armed.killAtMono)) - now
    if (leftMs > NEAR_MS) return Math.min(leftMs - NEAR_MS / 2, LONG_LOOK_MS)
    return Math.max(0, Math.min(Math.ceil(leftMs), SHORT_LOOK_MS))
  }
}

function key({ pid, startTime }: ProcessIdentity): string {
  return `${pid}/${startTime}`
}
