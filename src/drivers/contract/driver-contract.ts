/**
 * What every driver keeps, as named cases. They know nothing of a test runner: run each with a fresh subject and let it
 * throw. A new driver proves itself by passing them. The simulator's driver passes them too (sim/sim-driver.test.ts), so what is proven
 * in a simulated cluster rests on a driver that keeps what real ones keep.
 */
import type { InstanceReport } from '../../core/model.ts'
import { assert } from '../../lib/assert.ts'
import type { ProcessIdentity } from '../../lib/proc.ts'
import type { Driver, StartRequest } from '../driver.ts'

/** One place for one instance, and the hands to do to it what happens in real life. */
export interface DriverSubject {
  /** A driver on this place, as a fresh agent makes it. */
  open(): Driver
  /** Lets time pass until `done`, for some seconds at most; false when it never came. */
  passUntil(done: () => boolean): Promise<boolean>
  /** The instance ends by itself. */
  endByItself(pid: number): void
  /** It is stopped by a signal: alive and deaf. */
  freeze(pid: number): void
  thaw(pid: number): void
  isRunning(pid: number): boolean
}

export interface DriverCase {
  readonly name: string
  run(subject: DriverSubject): Promise<void>
}

const STOP = { settleMs: 20, graceMs: 2_000 }
const STANDBY: StartRequest = { role: 'standby', term: 0 }
const PRIMARY: StartRequest = { role: 'primary', term: 3 }

export const driverContract: readonly DriverCase[] = [
  {
    name: 'nothing is here at first, and ending nothing is no error',
    async run(subject) {
      const driver = await adopted(subject)
      expectReport(driver, { state: 'stopped', role: 'none', term: 0, failures: 0, retryInMs: 0, hung: false })
      await driver.kill()
      await driver.stop(STOP)
      expectReport(driver, { state: 'stopped', failures: 0 })
    },
  },
  {
    name: 'start runs it as the role and term that were asked for, and it gets well',
    async run(subject) {
      const driver = await adopted(subject)
      await driver.start(PRIMARY)
      expectReport(driver, { state: 'running', role: 'primary', term: 3 })
      assert(subject.isRunning(pidOf(driver)), 'the process that is reported runs')
      await until(subject, driver, 'healthy', (report) => report.health === 'healthy')
    },
  },
  {
    name: 'start said twice starts once; as something else it is refused',
    async run(subject) {
      const driver = await adopted(subject)
      await driver.start(PRIMARY)
      const pid = pidOf(driver)
      await driver.start(PRIMARY)
      assert(pidOf(driver) === pid, 'the second start found it running')
      await refused(() => driver.start(STANDBY))
      expectReport(driver, { state: 'running', role: 'primary', term: 3 })
    },
  },
  {
    name: 'beforeRun learns who it is before it runs, and its refusal keeps it from running',
    async run(subject) {
      const driver = await adopted(subject)
      let identity: ProcessIdentity | undefined
      const beforeRun = async (given: ProcessIdentity) => {
        identity = given
        expectReport(driver, { state: 'starting', pid: given.pid })
        throw new Error('no fence')
      }
      await refused(() => driver.start({ ...PRIMARY, beforeRun }))
      assert(identity && !subject.isRunning(identity.pid), 'nothing runs after the refusal')
      expectReport(driver, { state: 'stopped', failures: 1 })
      assert(driver.observe().note.includes('no fence'), 'the note says why')
    },
  },
  {
    name: 'kill while it is being started: it never runs, and that is no failure',
    async run(subject) {
      const driver = await adopted(subject)
      let killed: Promise<void> = Promise.resolve()
      const beforeRun = async () => {
        killed = driver.kill()
      }
      await refused(() => driver.start({ ...PRIMARY, beforeRun }))
      await killed
      expectReport(driver, { state: 'stopped', failures: 0 })
    },
  },
  {
    name: 'kill leaves nothing, twice; an end that was asked for is no failure',
    async run(subject) {
      const driver = await adopted(subject)
      await driver.start(PRIMARY)
      const pid = pidOf(driver)
      await Promise.all([driver.kill(), driver.kill()])
      assert(!subject.isRunning(pid), 'nothing is left')
      // The term is that of the run that ended: it tells a lead that was used from one that was just won.
      expectReport(driver, { state: 'stopped', role: 'none', term: PRIMARY.term, failures: 0, retryInMs: 0 })
    },
  },
  {
    name: 'stop is `stopping` at once, `stopped` when nothing is left, and no failure',
    async run(subject) {
      const driver = await adopted(subject)
      await driver.start(PRIMARY)
      const pid = pidOf(driver)
      await until(subject, driver, 'healthy', (report) => report.health === 'healthy')
      const stopped = Promise.all([driver.stop(STOP), driver.stop(STOP)])
      expectReport(driver, { state: 'stopping', role: 'primary' })
      await until(subject, driver, 'stopped', (report) => report.state === 'stopped')
      await stopped
      assert(!subject.isRunning(pid), 'nothing is left')
      expectReport(driver, { failures: 0, retryInMs: 0 })
    },
  },
  {
    name: 'an end that was not asked for is told at once and counts as a failure; the second one in a row waits',
    async run(subject) {
      const driver = await adopted(subject)
      for (const failures of [1, 2]) {
        await driver.start(PRIMARY)
        let told = 0
        const stop = driver.onChange(() => {
          told += 1
        })
        subject.endByItself(pidOf(driver))
        await until(subject, driver, 'stopped', (report) => report.state === 'stopped')
        stop()
        assert(told > 0, 'the listener was told')
        expectReport(driver, { failures })
        assert(driver.observe().note !== '', 'the note says how it ended')
      }
      assert(driver.observe().retryInMs > 0, 'the second failure in a row waits')
    },
  },
  {
    name: 'a frozen one is hung and unhealthy; thawed, it is neither',
    async run(subject) {
      const driver = await adopted(subject)
      await driver.start(PRIMARY)
      await until(subject, driver, 'healthy', (report) => report.health === 'healthy')
      const pid = pidOf(driver)
      subject.freeze(pid)
      await until(subject, driver, 'hung', (report) => report.hung && report.health === 'unhealthy')
      subject.thaw(pid)
      await until(subject, driver, 'well again', (report) => !report.hung && report.health === 'healthy')
    },
  },
  {
    name: 'a frozen one can be stopped and killed; both count as failures, because it was unhealthy',
    async run(subject) {
      const driver = await adopted(subject)
      for (const [failures, end] of [
        [1, () => driver.stop(STOP)],
        [2, () => driver.kill()],
      ] as const) {
        await driver.start(PRIMARY)
        const pid = pidOf(driver)
        subject.freeze(pid)
        await until(subject, driver, 'hung', (report) => report.hung)
        await end()
        assert(!subject.isRunning(pid), 'nothing is left')
        expectReport(driver, { state: 'stopped', failures, hung: false })
      }
    },
  },
  {
    name: 'promote makes a running standby the primary; again is no error; a lower term and nothing there are',
    async run(subject) {
      const driver = await adopted(subject)
      await refused(() => driver.promote(4))
      await driver.start(STANDBY)
      const pid = pidOf(driver)
      await until(subject, driver, 'healthy', (report) => report.health === 'healthy')
      await driver.promote(4)
      await driver.promote(4)
      expectReport(driver, { role: 'primary', term: 4, pid })
      await refused(() => driver.promote(3))
    },
  },
  {
    name: 'closed, it goes on running; the next driver adopts it as it was',
    async run(subject) {
      const first = await adopted(subject)
      await first.start(PRIMARY)
      await until(subject, first, 'healthy', (report) => report.health === 'healthy')
      const { pid, port } = first.observe()
      await first.close()
      assert(pid !== undefined && subject.isRunning(pid), 'it outlives its driver')
      const second = await adopted(subject)
      expectReport(second, { state: 'running', role: 'primary', term: 3, pid, port, health: 'healthy' })
      subject.freeze(pid)
      await until(subject, second, 'hung', (report) => report.hung)
      await second.kill()
      assert(!subject.isRunning(pid), 'the adopted one can be killed')
    },
  },
  {
    name: 'the end of an adopted one is seen, and failures outlive the driver',
    async run(subject) {
      const first = await adopted(subject)
      await first.start(PRIMARY)
      const pid = pidOf(first)
      await first.close()
      const second = await adopted(subject)
      subject.endByItself(pid)
      await until(subject, second, 'stopped', (report) => report.state === 'stopped')
      expectReport(second, { failures: 1 })
      await second.close()
      expectReport(await adopted(subject), { state: 'stopped', failures: 1 })
    },
  },
  {
    name: 'what ended unwatched is found ended',
    async run(subject) {
      const first = await adopted(subject)
      await first.start(PRIMARY)
      const pid = pidOf(first)
      await first.close()
      subject.endByItself(pid)
      await subject.passUntil(() => !subject.isRunning(pid))
      const second = await adopted(subject)
      expectReport(second, { state: 'stopped', role: 'none', failures: 1 })
      assert(second.observe().note !== '', 'the note says so')
    },
  },
]

async function adopted(subject: DriverSubject): Promise<Driver> {
  const driver = subject.open()
  await driver.adopt()
  return driver
}

function pidOf(driver: Driver): number {
  const { pid } = driver.observe()
  assert(pid !== undefined, 'a running instance reports its pid')
  return pid
}

function expectReport(
  driver: Driver,
  expected: { readonly [K in keyof InstanceReport]?: InstanceReport[K] | undefined },
) {
  const report: Partial<Record<string, unknown>> = { ...driver.observe() }
  for (const [key, value] of Object.entries(expected)) {
    assert(report[key] === value, `${key} is ${JSON.stringify(value)}: ${JSON.stringify(report)}`)
  }
}

async function until(
  subject: DriverSubject,
  driver: Driver,
  what: string,
  is: (report: InstanceReport) => boolean,
): Promise<void> {
  const came = await subject.passUntil(() => is(driver.observe()))
  assert(came, `it becomes ${what}: ${JSON.stringify(driver.observe())}`)
}

/** Rejects unless `act` is refused with an operating error. */
export async function refused(act: () => Promise<void>): Promise<void> {
  try {
    await act()
  } catch (error) {
    assert(error instanceof Error && error.name === 'UnderstudyError', `an operating error, not ${String(error)}`)
    return
  }
  assert(false, 'it was to be refused')
}
