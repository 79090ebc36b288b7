/**
 * Verbs take turns. The same verb said while it is waiting or under way is one piece of work; an urgent one calls off what
 * is under way (through its signal) and what waits, and goes next.
 */
import { UnderstudyError } from '../../../errors.ts'

type Work = (signal: AbortSignal) => Promise<void>

interface Turn {
  readonly key: string
  readonly done: Promise<void>
  readonly controller: AbortController
}

export class VerbTurns {
  #last: Promise<unknown> = Promise.resolve()
  readonly #open = new Set<Turn>()

  /** Nothing is under way, and nothing waits. */
  get isIdle(): boolean {
    return this.#open.size === 0
  }

  take(key: string, work: Work): Promise<void> {
    const same = [...this.#open].findLast((turn) => !turn.controller.signal.aborted)
    if (same?.key === key) return same.done
    const controller = new AbortController()
    const { signal } = controller
    const done = this.#last.then(() => {
      signal.throwIfAborted()
      return work(signal)
    })
    const turn: Turn = { key, done, controller }
    this.#open.add(turn)
    const over = () => {
      this.#open.delete(turn)
    }
    this.#last = done.then(over, over)
    return done
  }

  push(key: string, work: Work): Promise<void> {
    const same = [...this.#open].findLast((turn) => !turn.controller.signal.aborted)
    if (same?.key === key) return same.done
    this.abort()
    return this.take(key, work)
  }

  /** Calls off everything. */
  abort(): void {
    for (const turn of this.#open) {
      turn.controller.abort(new UnderstudyError('UND_REFUSED', `${turn.key} was called off by something more urgent`))
    }
  }
}
