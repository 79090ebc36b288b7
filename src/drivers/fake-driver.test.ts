import { describe, expect, it } from 'vitest'
import { seededRandom } from '../lib/random.ts'
import { VirtualClock } from '../lib/virtual-clock.ts'
import { type DriverSubject, driverContract } from './contract/driver-contract.ts'
import { FakeDriver, FakePlace } from './fake-driver.ts'

function fakeSubject(): DriverSubject {
  const clock = new VirtualClock()
  const place = new FakePlace(clock)
  const options = { service: 'web', port: 20_000, healthyAfterMs: 30, endsAfterMs: 50, random: seededRandom(1) }
  const present = (pid: number) => (place.process?.identity.pid === pid ? place.process : undefined)
  return {
    open: () => new FakeDriver(clock, place, options),
    async passUntil(done) {
      for (let ms = 0; ms < 10_000 && !done(); ms += 10) await clock.advance(10)
      return done()
    },
    endByItself: (pid) => present(pid)?.change({ ended: true }),
    freeze: (pid) => present(pid)?.change({ hung: true }),
    thaw: (pid) => present(pid)?.change({ hung: false }),
    isRunning: (pid) => present(pid)?.ended === false,
  }
}

describe('the fake driver keeps the contract', () => {
  for (const { name, run } of driverContract) it(name, () => run(fakeSubject()))
})

describe('the fake driver', () => {
  it('forgives failures after a spell of good health', async () => {
    const clock = new VirtualClock()
    const place = new FakePlace(clock)
    const options = { service: 'web', port: 1, healthyAfterMs: 0, endsAfterMs: 0, random: seededRandom(1) }
    const driver = new FakeDriver(clock, place, options)
    await driver.start({ role: 'active', term: 0 })
    place.process?.change({ ended: true })
    await driver.start({ role: 'active', term: 0 })
    await clock.advance(900)
    expect(driver.observe().failures).toBe(1)
    await clock.advance(2_000)
    expect(driver.observe().failures).toBe(0)
  })

  it('is killed after the grace when it ignores being asked', async () => {
    const clock = new VirtualClock()
    const options = { service: 'web', port: 1, healthyAfterMs: 0, endsAfterMs: 60_000, random: seededRandom(1) }
    const driver = new FakeDriver(clock, new FakePlace(clock), options)
    await driver.start({ role: 'active', term: 0 })
    const stopped = driver.stop({ settleMs: 100, graceMs: 1_000 })
    await clock.advance(1_050)
    expect(driver.observe().state).toBe('stopping')
    await clock.advance(60)
    await stopped
    expect(driver.observe().state).toBe('stopped')
  })
})
