/** What all passages of one route share. */
import type { Entrance } from '../entrance.ts'
import type { Cancels } from './cancels.ts'
import type { Tally } from './tally.ts'
import type { Verifiers } from './verifiers.ts'

export interface Surroundings {
  readonly entrance: Entrance
  readonly cancels: Cancels
  readonly verifiers: Verifiers
  readonly tally: Tally
}
