/**
 * Checks one running instance again and again and reports each change of the verdict.
 *
 * Until the first success a check follows 50 ms after the one before, so that a fast start is seen fast; that ends with
 * the time a start may take, so that an instance that never becomes healthy is not checked twenty times a second for
 * ever.
 *
 * Without any check there is nothing to ask. Such an instance is called healthy when it has run for 100 ms: that says
 * that it runs, and no more. 100 ms is about what an interpreter needs to find that a file is missing (Node: some 60
 * ms), so a program that cannot start is mostly not called healthy first.
 */
import { reportFault } from '../../lib/background.ts'
import type { Cancel, Clock } from '../../lib/clock.ts'
import type { Stop } from '../../lib/stop.ts'
import { superviseLoop } from '../../lib/supervised-loop.ts'
import { type HealthState, judge } from './health.ts'
import type { Check } from './health-check.ts'

const EAGER_EVERY_MS = 50
/** A healthy instance is checked this much more rarely: the balancers check it too, and route by their own answer. */
const CALM_TIMES = 2
export const HEALTHY_AFTER_RUNNING_MS = 100

export interface CheckLoopRequest {
  readonly clock: Clock
  /** Null: there is nothing to ask. */
  readonly check: Check | null
  readonly start: HealthState
  /** Monotonic clock: when the instance was started. */
  readonly startedAtMono: number
  readonly everyMs: number
  readonly startWithinMs: number
  /** How late our own event loop was lately. */
  loopLagMs(): number
  onState(state: HealthState): void
}

export interface CheckLoop {
  readonly stop: Stop
  /** Resolves when the first check has been judged. */
  readonly firstChecked: Promise<void>
}

export function startCheckLoop(request: CheckLoopRequest): CheckLoop {
  const { clock, check, startedAtMono } = request
  let state = request.start
  let over = false
  let timer: Cancel = () => {}
  const tell = (next: HealthState) => {
    const changed = next.verdict !== state.verdict || next.note !== state.note
    state = next
    if (changed) request.onState(next)
  }
  const stop = () => {
    over = true
    timer()
  }
  if (state.verdict !== 'unknown') request.onState(state)
  if (!check) {
    const itRuns = () => tell({ verdict: 'healthy', misses: 0, note: '' })
    const waitMs = startedAtMono + HEALTHY_AFTER_RUNNING_MS - clock.mono()
    if (waitMs > 0) timer = clock.after(waitMs, itRuns)
    else itRuns()
    return { stop, firstChecked: Promise.resolve() }
  }
  let nextInMs = request.everyMs
  const turn = async () => {
    const begun = clock.mono()
    const result = await check()
    if (over) return
    tell(judge(state, result, request.loopLagMs()))
    const eager = state.verdict === 'unknown' && clock.mono() < startedAtMono + request.startWithinMs
    const calm = state.verdict === 'healthy' && state.misses === 0
    const everyMs = eager ? Math.min(EAGER_EVERY_MS, request.everyMs) : request.everyMs * (calm ? CALM_TIMES : 1)
    nextInMs = Math.max(0, begun + everyMs - clock.mono())
  }
  const goOn = () => {
    if (!over) timer = superviseLoop({ clock, what: 'a health check', everyMs: () => nextInMs, work: turn }).stop
  }
  const firstChecked = turn()
    .catch((error: unknown) => reportFault('a health check', error))
    .then(goOn)
  return { stop, firstChecked }
}
