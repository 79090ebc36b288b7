/**
 * The one way to do something again and again. A turn that throws or rejects is reported and followed by the next one all the
 * same; a turn that takes long is never overtaken by another; and what fails again and again is tried more and more rarely.
 *
 * The trap is a timer that arms itself at the end of its work: one error, and it has fallen silent for good. Here the next turn
 * is armed in a `finally`.
 */
import { reportFault } from './background.ts'
import { backoffMs } from './backoff.ts'
import type { Cancel, Clock } from './clock.ts'

export interface LoopOptions {
  readonly clock: Clock
  /** Names it in reports: "the heartbeat of a". */
  readonly what: string
  /** From the end of a turn to the beginning of the next, in milliseconds. A function is asked after each turn. */
  readonly everyMs: number | (() => number)
  /** Until the first turn. Default: `everyMs`. */
  readonly firstMs?: number
  /**
   * Turns begin together with those of all other loops of this process and period that say so: an idle process then wakes up
   * once for all of them. Between two turns lie half to one and a half of `everyMs`. Default: false.
   */
  readonly isAligned?: boolean
  work(): void | Promise<void>
  /** Told of a fault, at most once a minute for each kind. Default: all listeners of this process (lib/background.ts). */
  readonly report?: (what: string, error: unknown) => void
}

export interface SupervisedLoop {
  /** No turn begins any more; one that is under way ends. */
  readonly stop: Cancel
}

/** The same kind of fault is told again after this long, if it goes on. */
const TELL_AGAIN_MS = 60_000
/** A turn that fails again and again is at most so many times rarer, and never rarer than every 5 s because of it. */
const MOST_TIMES = 8
const MOST_MS = 5_000

export function superviseLoop(options: LoopOptions): SupervisedLoop {
  const { clock, what, work, report = reportFault } = options
  const told = new Map<string, number>()
  let cancel: Cancel = () => undefined
  let stopped = false
  let failures = 0

  const failed = (error: unknown) => {
    failures += 1
    const kind = kindOf(error)
    if (clock.mono() - (told.get(kind) ?? Number.NEGATIVE_INFINITY) < TELL_AGAIN_MS) return
    told.set(kind, clock.mono())
    report(what, error)
  }
  const arm = (inMs: number) => {
    if (!stopped) cancel = clock.after(inMs, turn)
  }
  const period = () => (typeof options.everyMs === 'number' ? options.everyMs : options.everyMs())
  const armNext = () => {
    const everyMs = period()
    const mostMs = Math.max(everyMs, Math.min(everyMs * MOST_TIMES, MOST_MS))
    arm(failures > 1 ? backoffMs(failures, { firstMs: everyMs, mostMs }) : nextIn(everyMs))
  }
  const nextIn = (everyMs: number) => (options.isAligned ? untilCommon(clock.mono(), everyMs) : everyMs)
  const succeeded = () => {
    failures = 0
  }
  const turn = () => {
    let under: Promise<void> | undefined
    try {
      under = work() ?? undefined
      if (!under) succeeded()
    } catch (error) {
      failed(error)
    } finally {
      if (!under) armNext() // work without a wait is followed without one: the order of timers is part of a simulation
    }
    under?.then(succeeded, failed).finally(armNext)
  }
  arm(options.firstMs ?? nextIn(period()))
  return {
    stop() {
      stopped = true
      cancel()
    },
  }
}

/** Each process has a phase of its own, so that the agents of one machine do not all wake up at the same moment. */
const PHASE_MS = (process.pid * 37) % 1_000

/** A timer that fired a little early or late does not make a turn that follows at once. */
function untilCommon(now: number, everyMs: number): number {
  const left = everyMs - ((now + PHASE_MS) % everyMs)
  return left < everyMs / 2 ? left + everyMs : left
}

/** Numbers and paths differ from one time to the next; the kind does not. */
function kindOf(error: unknown): string {
  return error instanceof Error ? `${error.name} ${error.message.replaceAll(/\d+/g, '#')}` : String(error)
}
