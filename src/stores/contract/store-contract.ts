/**
 * What every store must do, sentence by sentence of the port, as cases that any test runner can run: each gets a world
 * of its own and fails by throwing. An adapter is done when all of them hold for it; a new engine brings only a world.
 *
 * No case depends on speed: what is claimed about time is claimed between two readings of the clock, taken before a
 * request was sent and after it was answered.
 */

import { LEASE_CASES } from './lease-cases.ts'
import { MAP_CASES } from './map-cases.ts'
import type { ContractCase } from './store-world.ts'
import { WATCH_CASES } from './watch-cases.ts'

export type { ContractCase, StoreWorld } from './store-world.ts'

export const STORE_CONTRACT: readonly ContractCase[] = [...MAP_CASES, ...LEASE_CASES, ...WATCH_CASES]
