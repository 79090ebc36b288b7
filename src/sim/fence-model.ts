/**
 * The made-up fence of one node: a process of its own with a timer of its own. What is armed is saved, so one that is
 * started again goes on where the killed one was; a past deadline is acted on before it is acknowledged. An agent starts it
 * again; while there is none it stays dead.
 *
 * Behind it stands the last guard (agent/last-guard.ts), which the kernel wakes when agent and fence are both dead: it kills what
 * is due then, and each other process at its deadline. While one of the two lives, frozen or not, it does nothing.
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
/** Until an agent notices that its fence is dead, and the next one listens. */
const BACK_AFTER_MS = 100
/** The last guard looks every 50 ms, and is a shell. */
const GUARD_LATE_MS = 60

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

  /** kill -9. An agent that lives starts another one. */
  die(): void {
    this.isUp = false
    if (this.#parts.agentLives()) this.#startSoon()
    else this.#guardWakes()
  }

  /** An agent is there again: it sees that a fence is there, too. */
  agentStarted(): void {
    if (!this.isUp) this.#startSoon()
  }

  /** An agent has died. */
  agentDied(): void {
    if (!this.isUp) this.#guardWakes()
  }

  #startSoon(): void {
    this.#parts.gate().after(BACK_AFTER_MS, () => {
      if (this.isUp || !this.#parts.agentLives()) return
      this.isUp = true
      for (const { identity, killAt } of [...this.#armed.values()]) this.#arm(identity, killAt)
    })
  }

  #guardWakes(): void {
    const { clock } = this.#parts
    for (const { identity, killAt } of [...this.#armed.values()]) if (killAt <= clock.mono()) this.#guardKills(identity)
  }

  #guardKills(identity: ProcessIdentity): void {
    const { world, random } = this.#parts
    world.after(GUARD_LATE_MS * random(), () => {
      if (!this.isUp && !this.#parts.agentLives()) this.#kill(identity, 'last guard')
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
      else if (!this.#parts.agentLives()) this.#guardKills(identity)
    })
    this.#armed.set(identity.pid, { identity, killAt, cancel })
  }

  #disarm({ pid }: ProcessIdentity): void {
    this.#armed.get(pid)?.cancel()
    this.#armed.delete(pid)
  }

  #kill(identity: ProcessIdentity, by = 'fence'): void {
    this.#armed.delete(identity.pid)
    const process = this.#parts.processes.find(identity)
    if (!process) return
    this.kills += 1
    this.#parts.processes.kill(process, `killed by the ${by}: its lease was about to end`)
  }
}

export interface FenceParts {
  readonly clock: NodeClock
  readonly world: { after(delayMs: number, fn: () => void): Cancel }
  readonly processes: Processes
  readonly random: Random
  /** Lives as long as the node. */
  gate(): Gate
  /** Frozen or not. */
  agentLives(): boolean
}
