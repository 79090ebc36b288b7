import type { Failure } from './failure.ts'
import type { Outcome } from './outcome.ts'

/** What one failure, or several at once, does to every service. */
export interface Row {
  readonly failures: readonly Failure[]
  readonly outcomes: readonly Outcome[]
  /** For objectives: something is left that could go on, and it can fail without everything else. */
  readonly judged: boolean
}
