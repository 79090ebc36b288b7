/** The simulator's driver keeps the contract that the driver of real processes keeps (test/real/process-contract.test.ts). */
import { describe, expect, it } from 'vitest'
import { during, passUntil, throughGate } from '../../test/support/virtual-time.ts'
import { type DriverSubject, driverContract } from '../drivers/contract/driver-contract.ts'
import { seededRandom } from '../lib/random.ts'
import { VirtualClock } from '../lib/virtual-clock.ts'
import { Gate } from './gate.ts'
import { madeUpCluster } from './made-up-cluster.ts'
import { newBooks, SimDriver } from './sim-driver.ts'
import { Processes } from './sim-processes.ts'

const WITHIN_MS = 10_000

const [WORKER] = madeUpCluster(
  [{ name: 'a', zone: 'a' }],
  [{ name: 'worker', kind: 'command', redundancy: 'active-passive', instances: 1, standby: 'warm' }],
).services

/** One place for an instance, without an agent, on a clock that runs for as long as a verb is waited for. */
class Place implements DriverSubject {
  readonly clock = new VirtualClock()
  readonly processes: Processes
  readonly #random
  readonly #books = newBooks(20_000)

  constructor(seed: number) {
    this.#random = seededRandom(seed)
    const watcher = { changed: () => undefined }
    this.processes = new Processes({ node: 'a', clock: this.clock, random: this.#random, watcher })
  }

  during(work: Promise<void>): Promise<void> {
    return during(this.clock, work, 60_000)
  }

  open(): SimDriver {
    if (!WORKER) throw new Error('no service')
    const gate = new Gate(this.clock)
    const clock = throughGate(this.clock, gate)
    const { processes } = this
    return new SimDriver({ service: WORKER, processes, books: this.#books, gate, clock, random: this.#random })
  }

  passUntil(done: () => boolean): Promise<boolean> {
    return passUntil(this.clock, done, WITHIN_MS)
  }

  endByItself = (pid: number) => this.#withProcess(pid, (process) => this.processes.fail(process, 'ended with code 1'))
  freeze = (pid: number) => this.#withProcess(pid, (process) => this.processes.freeze(process))
  thaw = (pid: number) => this.#withProcess(pid, (process) => this.processes.thaw(process))
  isRunning = (pid: number) =>
    this.processes.all().some(({ identity, phase }) => identity.pid === pid && phase === 'open')

  #withProcess(pid: number, act: (process: ReturnType<Processes['all']>[number]) => void): void {
    const process = this.processes.all().find(({ identity }) => identity.pid === pid)
    if (process) act(process)
  }
}

describe('the simulated driver keeps the contract', () => {
  for (const { name, run } of driverContract) {
    it(name, async () => {
      for (let seed = 1; seed <= 20; seed += 1) {
        const place = new Place(seed)
        await place.during(run(place))
      }
    })
  }
})

describe('the simulated driver', () => {
  it('forgives failures after a spell of good health', async () => {
    const place = new Place(1)
    const driver = place.open()
    await place.during(driver.start({ role: 'primary', term: 1 }))
    place.endByItself(driver.observe().pid ?? 0)
    await place.clock.advance(1_000)
    await place.during(driver.start({ role: 'primary', term: 2 }))
    await place.clock.advance(900)
    expect(driver.observe().failures).toBe(1)
    await place.clock.advance(2_000)
    expect(driver.observe().failures).toBe(0)
  })

  it('is killed after the grace when it ignores being asked', async () => {
    const place = new Place(1)
    const driver = place.open()
    place.processes.habitsOf('worker').stubborn = true
    await place.during(driver.start({ role: 'primary', term: 1 }))
    const stopped = driver.stop({ settleMs: 100, graceMs: 1_000 })
    await place.clock.advance(1_000)
    expect(driver.observe().state).toBe('stopping')
    await place.during(stopped)
    expect(driver.observe().state).toBe('stopped')
  })
})
