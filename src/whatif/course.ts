/** What happened on the way from a failure to the state that it leaves. */
import type { NodeName } from '../core/model.ts'
import type { Step } from '../core/step.ts'

export interface Done {
  /** Since the failure. */
  readonly atMs: number
  readonly node: NodeName
  readonly step: Step
  readonly rule: string
  readonly why: string
}

/** What happened to one service on the way. */
export interface Course {
  /** Since the failure: when it was first not served, and when it was last served again. Null: never. */
  awayAtMs: number | null
  backAtMs: number | null
  /** Which nodes could take over, best first, when the lead was taken; empty when none did. */
  order: readonly NodeName[]
  /** What the first takeover rested on. */
  evidence: 'none' | 'first-hand' | 'silence'
}
