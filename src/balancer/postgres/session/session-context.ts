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
  /** No session of the route has anything open at the server that holds. */
  isStill(): boolean
  /** A session has come to rest at a server that holds. */
  onRest(): void
}
