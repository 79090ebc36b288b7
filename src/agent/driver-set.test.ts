/** A driver is replaced while its service runs: what holds meanwhile, whatever is asked of it. */
import { expect, test } from 'vitest'
import { web } from '../../test/made-up.ts'
import type { InstanceReport, ServiceSpec } from '../core/model.ts'
import { neverStarted } from '../core/view.ts'
import type { Driver } from '../drivers/driver.ts'
import { DriverSet } from './driver-set.ts'

/** A driver whose adoption ends when the test says so. */
class HandDriver implements Driver {
  readonly calls: string[] = []
  adopted: () => void = () => undefined
  refuse: (error: Error) => void = () => undefined
  changed: () => void = () => undefined
  readonly service: ServiceSpec

  constructor(service: ServiceSpec) {
    this.service = service
  }

  observe(): InstanceReport {
    return { ...neverStarted(this.service.name), note: JSON.stringify(this.service.options) }
  }

  adopt(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.adopted = resolve
      this.refuse = reject
    })
  }

  onChange(changed: () => void) {
    this.changed = changed
    return () => {
      this.changed = () => undefined
    }
  }

  start = this.#note('start')
  promote = this.#note('promote')
  stop = this.#note('stop')
  kill = this.#note('kill')
  close = this.#note('close')

  #note(what: string) {
    return async () => void this.calls.push(what)
  }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

const before = web()
const after = web({ options: { env: { V: '2' } } })

async function newSet() {
  const made: HandDriver[] = []
  const failures: string[] = []
  const busy = new Set<string>()
  const create = (service: ServiceSpec) => {
    const driver = new HandDriver(service)
    made.push(driver)
    return driver
  }
  const set = new DriverSet({ create, notAdopted: (service, { message }) => failures.push(`${service}: ${message}`) })
  const work = {
    isBusy: (name: string) => busy.has(name),
    occupy: (name: string) => {
      busy.add(name)
      return () => void busy.delete(name)
    },
  }
  const begun = set.begin([before])
  await settled()
  made[0]?.adopted()
  await begun
  return { set, made, busy, work, failures }
}

test('the service is busy and its last report stands until the new driver has taken over', async () => {
  const { set, made, busy, work } = await newSet()
  const report = set.observe().web
  set.fit([after], [], work)
  expect(made[0]?.calls).toEqual(['close'])
  expect([...busy]).toEqual(['web'])
  expect(set.observe().web).toEqual(report)
  await settled()
  made[1]?.adopted()
  await settled()
  expect([...busy]).toEqual([])
  expect(set.observe().web?.note).toContain('"V":"2"')
})

test('a kill waits for the new driver and is done by it', async () => {
  const { set, made, work } = await newSet()
  set.fit([after], [], work)
  const killed = set.get('web')?.kill()
  await settled()
  expect(made[1]?.calls).toEqual([])
  made[1]?.adopted()
  await killed
  expect(made[1]?.calls).toEqual(['kill'])
})

test('one at work is replaced when it is done', async () => {
  const { set, made, busy, work } = await newSet()
  busy.add('web')
  set.fit([after], [], work)
  expect(made).toHaveLength(1)
  busy.delete('web')
  set.fit([after], [], work)
  expect(made).toHaveLength(2)
})

test('a change that comes while a driver is replaced is not lost', async () => {
  const { set, made, work } = await newSet()
  const third = web({ options: { env: { V: '3' } } })
  set.fit([after], [], work)
  set.fit([third], [], work)
  await settled()
  made[1]?.adopted()
  await settled()
  set.fit([third], [], work)
  expect(made.map(({ service }) => service)).toEqual([before, after, third])
})

test('another number of instances is not the driver’s business', async () => {
  const { set, made, work } = await newSet()
  set.fit([{ ...before, instances: 3 }], [], work)
  expect(made).toHaveLength(1)
})

test('what cannot be taken over is told, and keeps nothing else from beginning', async () => {
  const { set, made, busy, work, failures } = await newSet()
  set.fit([before, web({ name: 'api' })], [], work)
  await settled()
  made[1]?.refuse(new Error('damaged'))
  await settled()
  expect(failures).toEqual(['api: damaged'])
  expect([...busy]).toEqual([])
})

test('a removed service keeps its driver until it is dropped, and gets one again when it is named again', async () => {
  const { set, made, work } = await newSet()
  set.fit([], [before], work)
  expect(Object.keys(set.observe())).toEqual(['web'])
  set.drop('web')
  set.fit([], [before], work)
  set.fit([], [before], work)
  expect([Object.keys(set.observe()), made.length, made[0]?.calls]).toEqual([[], 1, ['close']])
  set.fit([before], [], work)
  expect([Object.keys(set.observe()), made.length]).toEqual([['web'], 2])
})

test('a driver that was replaced is not heard any more', async () => {
  const { set, made, work } = await newSet()
  let heard = 0
  set.onChange(() => {
    heard += 1
  })
  made[0]?.changed()
  expect(heard).toBe(1)
  set.fit([after], [], work)
  made[0]?.changed()
  expect(heard).toBe(1)
})
