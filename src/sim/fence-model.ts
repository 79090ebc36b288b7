/**
 * The made-up fence of one node: a process of its own with a timer of its own. What is armed is saved, so one that is
 * started again goes on where the killed one was; a past deadline is acted on before it is acknowledged.
 */
import type { FencePort } from '../agent/agent-ports.ts'
import type { ServiceName } from '../core/model.ts'
import { UnderstudyError } from '../errors.ts'
import type { Cancel } from '../lib/clock.ts'
import type { ProcessIdentity } from '../lib/proc.ts'
import type { Random } from '../lib/random.ts'
import type { Gate } from './gate.ts'
import type { NodeClock } from './node-clock.ts'
import type { Processes } from './sim-processes.ts'

interface Armed {
  readonly identity: ProcessIdentity
  readonly killAt: number
  readonly cancel: Cancel
}

const SAY_MS = 0.3
const ACKNOWLEDGED_WITHIN_MS = 250
const LATE_MS = 5

export class SimFence {
  readonly #parts: FenceParts
  readonly #armed = new Map<number, Armed>()
  isUp = true
  kills = 0

  constructor(parts: FenceParts) {
    this.#parts = parts
  }

  /** What an agent has of it. */
  portFor(gate: Gate): FencePort {
    return {
      arm: (_service: ServiceName, identity: ProcessIdentity, killAt: number) =>
        this.#say(gate, () => this.#arm(identity, killAt)),
      disarm: (_service: ServiceName, identity: ProcessIdentity) => this.#say(gate, () => this.#disarm(identity)),
    }
  }

  /** It is killed, and whoever watches it starts another, which reads what was saved. */
  restartAfter(ms: number): void {
    this.isUp = false
    this.#parts.gate().after(ms, () => {
      this.isUp = true
      for (const { identity, killAt } of [...this.#armed.values()]) this.#arm(identity, killAt)
    })
  }

  #say(gate: Gate, what: () => void): Promise<void> {
    const { world } = this.#parts
    return gate.promise((resolve, reject) => {
      world.after(SAY_MS, () => {
        if (this.isUp) {
          what()
          world.after(SAY_MS, () => resolve())
        } else {
          const error = new UnderstudyError(
            'UND_TIMED_OUT',
            `the fence did not acknowledge within ${ACKNOWLEDGED_WITHIN_MS} ms`,
          )
          world.after(ACKNOWLEDGED_WITHIN_MS, () => reject(error))
        }
      })
    })
  }

  #arm(identity: ProcessIdentity, killAt: number): void {
    this.#disarm(identity)
    const { clock, world, random } = this.#parts
    const inMs = clock.toWorldMs(killAt - clock.mono())
    if (inMs <= 0) return this.#kill(identity)
    const cancel = world.after(inMs + LATE_MS * random(), () => {
      if (this.isUp) this.#kill(identity)
    })
    this.#armed.set(identity.pid, { identity, killAt, cancel })
  }

  #disarm({ pid }: ProcessIdentity): void {
    this.#armed.get(pid)?.cancel()
    this.#armed.delete(pid)
  }

  #kill(identity: ProcessIdentity): void {
    this.#armed.delete(identity.pid)
    const process = this.#parts.processes.find(identity)
    if (!process) return
    this.kills += 1
    this.#parts.processes.kill(process, 'killed by the fence: its lease was about to end')
  }
}

export interface FenceParts {
  readonly clock: NodeClock
  readonly world: { after(delayMs: number, fn: () => void): Cancel }
  readonly processes: Processes
  readonly random: Random
  /** Whatever restarts it: lives as long as the node. */
  gate(): Gate
}
