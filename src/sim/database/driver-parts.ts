/** What the driver of a made-up database stands on. */
import type { ServiceSpec } from '../../core/model.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import type { Gate } from '../gate.ts'
import type { DatabaseServer } from './database-server.ts'

export interface DatabaseDriverParts {
  readonly service: ServiceSpec
  readonly server: DatabaseServer
  readonly port: number
  readonly gate: Gate
  /** The node's, through the gate. */
  readonly clock: Clock
  readonly random: Random
}
