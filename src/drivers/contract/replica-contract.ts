/**
 * What every driver of replicas keeps, as named cases: run on real PostgreSQL servers and on the simulator's model, so
 * that what the simulator proves about the model is proven about something that behaves like the real thing. They know
 * no test runner: run each with a fresh world and let it throw. Three nodes, `a`, `b` and `c`, without any data at
 * first.
 */
import { LIVING_ON_CASES } from './living-on.ts'
import type { ReplicaCase } from './replica-world.ts'
import { TAKE_OVER_CASES } from './taking-over.ts'

export type { ReplicaWorld, Write } from './replica-world.ts'

export const REPLICA_CONTRACT: readonly ReplicaCase[] = [...TAKE_OVER_CASES, ...LIVING_ON_CASES]
