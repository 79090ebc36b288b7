/** What all passages of one route share. */
import type { LiveRoute } from '../../live-route.ts'
import type { Cancels } from '../cancel-keys.ts'
import type { Verifiers } from '../verifiers.ts'
import type { SessionKnowledge } from './session-knowledge.ts'
import type { Tally } from './session-tally.ts'

export interface SessionContext {
  readonly entrance: LiveRoute
  readonly cancels: Cancels
  readonly verifiers: Verifiers
  readonly knowledge: SessionKnowledge
  readonly tally: Tally
}
