/**
 * PUBLIC. For tests of your own: a store in memory, a clock that moves only when told, and the suites that every store and every
 * driver must pass. They are what this project's own tests use.
 *
 *     import { MemoryCluster, VirtualClock } from 'understudy/testing'
 *
 *     const clock = new VirtualClock()
 *     const store = new MemoryCluster({ clock }).open()
 *     await clock.advance(2_000)
 *
 * And a simulated cluster in which the real agents perform a scenario with a config of yours. It rejects when an expectation is not
 * met; docs/testing.md has the language and says what each expectation proves.
 *
 *     await expectScenario(
 *       `start
 *        expect settled within 20s
 *        kill db.primary
 *        expect db served within 2s
 *        expect nothing lost`,
 *       { config })
 */
export { driverContract } from './drivers/contract/driver-contract.ts'
export { REPLICA_CONTRACT, type ReplicaWorld, type Write } from './drivers/contract/replica-contract.ts'
export type { Clock } from './lib/clock.ts'
export { type Random, seededRandom } from './lib/random.ts'
export { VirtualClock } from './lib/virtual-clock.ts'
export { type ExpectOptions, expectScenario, ScenarioFailed } from './sim/scenario/expect-scenario.ts'
export { type ScenarioOptions, type Told, tellScenario } from './sim/scenario/runner.ts'
export { STORE_CONTRACT } from './stores/contract/store-contract.ts'
export { MemoryCluster } from './stores/memory.ts'
