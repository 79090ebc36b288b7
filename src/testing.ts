/**
 * PUBLIC. For tests of your own: a store and a driver in memory, a clock that moves only when told, and the suites that
 * every store and every driver must pass. They are what this project's own tests use.
 *
 *     import { MemoryCluster, VirtualClock } from 'understudy/testing'
 *
 *     const clock = new VirtualClock()
 *     const store = new MemoryCluster({ clock }).open()
 *     await clock.advance(2_000)
 */
export { driverContract } from './drivers/contract.ts'
export { FakeDriver, FakePlace, FakeProcess } from './drivers/fake.ts'
export type { Clock } from './lib/clock.ts'
export { type Random, seededRandom } from './lib/random.ts'
export { VirtualClock } from './lib/virtual-clock.ts'
export { STORE_CONTRACT } from './stores/contract.ts'
export { MemoryCluster } from './stores/memory.ts'
