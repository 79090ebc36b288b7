/** Waits for a condition with a deadline: the only way to wait in this program. */
import { UnderstudyError } from '../errors.ts'
import { type Clock, sleep } from './clock.ts'

export interface Patience {
  readonly clock: Clock
  /** Between two looks. */
  readonly everyMs: number
  readonly withinMs: number
  /** What is waited for: ends the sentence "timed out … waiting for". */
  readonly what: string
  /** Looked at between two looks: when it is aborted, the wait is over. */
  readonly signal?: AbortSignal
}

/** The first value that is not undefined, null or false; UND_TIMED_OUT when none came in time. */
export async function until<T>(patience: Patience, look: () => Promise<T> | T): Promise<NonNullable<T>> {
  const { clock, everyMs, withinMs, what, signal } = patience
  const deadline = clock.mono() + withinMs
  for (;;) {
    signal?.throwIfAborted()
    const found = await look()
    if (found !== undefined && found !== null && found !== false) return found
    if (clock.mono() >= deadline) {
      throw new UnderstudyError('UND_TIMED_OUT', `timed out after ${Math.round(withinMs)} ms waiting for ${what}`)
    }
    await sleep(clock, everyMs)
  }
}
