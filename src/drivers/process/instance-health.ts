/**
 * Turns what is seen of a running instance (checks, hangs) into what is said of it, and forgives earlier failures after a
 * spell of good health. A hang outweighs every check: a stopped process may have answered one a moment ago.
 */
import type { ServiceTiming } from '../../core/model.ts'
import type { Cancel, Clock } from '../../lib/clock.ts'
import type { Stop } from '../../lib/stop.ts'
import { forgivenAfterMs } from '../restart-backoff.ts'
import { startCheckLoop } from './check-loop.ts'
import { HEALTH_AT_START, type HealthState } from './health.ts'
import type { Check } from './health-check.ts'
import type { InstanceHistory } from './instance-history.ts'
import type { InstanceState } from './instance-state.ts'

export interface WellnessParts {
  readonly clock: Clock
  readonly standing: InstanceState
  readonly books: InstanceHistory
  readonly timing: ServiceTiming
  loopLagMs(): number
  isHung(): boolean
}

export class InstanceHealth {
  readonly #parts: WellnessParts
  #checked: HealthState = HEALTH_AT_START
  #stopChecks: Stop = () => {}
  #forgiving: Cancel | undefined

  constructor(parts: WellnessParts) {
    this.#parts = parts
  }

  /** Resolves when the first check has been judged. */
  begin(check: Check | null, startedAtMono: number, start: HealthState): Promise<void> {
    const { clock, timing } = this.#parts
    this.#checked = start
    const loop = startCheckLoop({
      clock,
      check,
      start,
      startedAtMono,
      everyMs: timing.probeEveryMs,
      startWithinMs: timing.startWithinMs,
      loopLagMs: () => this.#parts.loopLagMs(),
      onState: (state) => {
        this.#checked = state
        this.say()
      },
    })
    this.#stopChecks = loop.stop
    return loop.firstChecked
  }

  /** Says what is known now. */
  say(): void {
    const { standing, books } = this.#parts
    if (this.#parts.isHung()) standing.feel('unhealthy', 'stopped by a signal (SIGSTOP)')
    else standing.feel(this.#checked.verdict, this.#checked.note)
    const healthy = standing.health === 'healthy'
    if (healthy && books.record?.wasHealthy === false) books.changeIfPossible({ wasHealthy: true })
    if (!healthy || books.failures === 0) this.#stopForgiving()
    else this.#forgiving ??= this.#parts.clock.after(forgivenAfterMs(books.failures), () => books.forgive())
  }

  end(): void {
    this.#stopChecks()
    this.#stopForgiving()
    this.#checked = HEALTH_AT_START
  }

  #stopForgiving(): void {
    this.#forgiving?.()
    this.#forgiving = undefined
  }
}
