/**
 * A problem as its node reports it to the others, so that an operator sees it whichever node is asked. No decision
 * depends on it: each node acts on what it finds itself.
 */

import type { ServiceName } from './names.ts'
import type { Rule } from './rule-names.ts'

export interface ReportedProblem {
  /** The stable name, as in docs/rules.md. */
  readonly rule: Rule
  readonly service: ServiceName | null
  /** `first-hand`: this node saw it itself. `inferred`: concluded from silence or from what others say. */
  readonly evidence: 'first-hand' | 'inferred'
  /** A sentence that an operator understands at night. It should not change while the problem stays the same. */
  readonly why: string
}
