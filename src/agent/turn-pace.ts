/**
 * When turns take place. Many events make one turn. In a large cluster a turn takes long on a busy machine, and each
 * report of each node asks for one: turn after turn would leave no time for renewals, heartbeats and answers. So a long
 * turn is followed by a pause as long as it was longer than a short one; events that come meanwhile share the next.
 */
import type { Decision } from '../core/decide.ts'
import type { InstanceReport } from '../core/model.ts'
import { isHealthy, type View } from '../core/view.ts'
import type { Clock } from '../lib/clock.ts'

/** A turn up to this long is followed by no pause: a cluster of three nodes takes 1 to 2 ms. */
const SHORT_MS = 5
/** The longest pause: what happens meanwhile waits for it. Judgement: half a heartbeat. */
const REST_MOST_MS = 50

export class TurnPace {
  readonly #clock: Clock
  readonly #turn: () => void
  #isDue = false
  #restUntil = Number.NEGATIVE_INFINITY

  constructor(clock: Clock, turn: () => void) {
    this.#clock = clock
    this.#turn = turn
  }

  /** Asks for a turn: right after what runs now, or at the end of the pause. */
  ask(): void {
    if (this.#isDue) return
    this.#isDue = true
    const restMs = this.#restUntil - this.#clock.mono()
    if (restMs > 0) this.#clock.after(restMs, () => this.#take())
    else queueMicrotask(() => this.#take())
  }

  #take(): void {
    this.#isDue = false
    const begunAt = this.#clock.mono()
    try {
      this.#turn()
    } finally {
      const endedAt = this.#clock.mono()
      this.#restUntil = endedAt + Math.min(REST_MOST_MS, endedAt - begunAt - SHORT_MS)
    }
  }
}

/** As long as it is calm, heartbeats make a turn only this often. */
export const CALM_TURN_EVERY_MS = 500

/**
 * Nothing is wrong and nothing is under way here. Whatever changes that is an event, and events make turns of their own;
 * so a calm agent need not think with every heartbeat, and an idle cluster costs little.
 */
export function isIdle({ peers, local }: View, { problems }: Decision): boolean {
  if (problems.length > 0) return false
  for (const _ in local.busy) return false
  for (const node in peers) if (peers[node]?.state !== 'alive') return false
  for (const service in local.instances) if (!isSteady(local.instances[service])) return false
  return true
}

function isSteady(instance: InstanceReport | undefined): boolean {
  return instance?.state === 'stopped' || isHealthy(instance)
}
