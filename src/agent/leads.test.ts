/** One lease of a node carries all its leads: what that means when one of them, or the lease itself, ends. */
import { expect, test } from 'vitest'
import { worker } from '../../test/made-up.ts'
import type { ServiceSpec } from '../core/model.ts'
import type { LeadRecord } from '../core/records.ts'
import type { Driver } from '../drivers/driver.ts'
import { VirtualClock } from '../lib/virtual-clock.ts'
import { MemoryCluster, type MemoryStore } from '../stores/memory.ts'
import { AgreedRecords, KEY } from './agreed-records.ts'
import type { Drivers } from './driver-set.ts'
import { Leads } from './leads.ts'

const NAMES = ['one', 'two', 'three'] as const
const SERVICES = NAMES.map((name) => worker({ name }))
const [ONE] = SERVICES as [ServiceSpec]
const VACANCY = { rule: 'primary-down', why: 'it ended', by: 'a', noticedAt: 0 } as const

/** An agent's leads on a store whose calls are counted, with a fence and drivers that write down what they are told. */
class Desk {
  readonly store: MemoryStore
  readonly calls = { acquire: 0, renew: 0, release: 0 }
  readonly killed: string[] = []
  readonly armed = new Map<string, number>()
  /** Until then the fence acknowledges nothing. */
  hears: Promise<void> = Promise.resolve()
  readonly agreed = new AgreedRecords()
  readonly leads: Leads

  readonly clock: VirtualClock
  readonly cluster: MemoryCluster

  constructor(clock: VirtualClock, cluster: MemoryCluster) {
    this.clock = clock
    this.cluster = cluster
    this.store = cluster.open()
    for (const verb of ['acquire', 'renew', 'release'] as const) {
      const real = this.store[verb].bind(this.store) as (what: never) => Promise<never>
      Object.assign(this.store, {
        [verb]: (what: never) => {
          this.calls[verb] += 1
          return real(what)
        },
      })
    }
    const kill = (name: string) => async () => void this.killed.push(name)
    const killers = new Map(NAMES.map((name) => [name, { kill: kill(name) } as unknown as Driver]))
    const drivers = { get: (name: string) => killers.get(name as 'one') } as unknown as Drivers
    const arm = async (name: string, _identity: unknown, at: number) => {
      await this.hears
      this.armed.set(name, at)
    }
    const fence = { arm, disarm: async (name: string) => void this.armed.delete(name) }
    this.leads = new Leads({ clock, store: this.store, fence, drivers }, 'a', this.agreed, () => undefined)
  }

  async look(): Promise<void> {
    this.agreed.take(await this.store.read(''))
  }

  async takeAll(): Promise<void> {
    expect(await Promise.all(SERVICES.map((service) => this.leads.take(service, 1, 0)))).toEqual([true, true, true])
    for (const [pid, name] of NAMES.entries()) await this.leads.cover(name, 1, { pid: pid + 2, startTime: 1 })
    await this.look()
  }

  async lead(name: string): Promise<LeadRecord | undefined> {
    return (await this.store.read('')).entries.get(KEY.lead(name))?.value as LeadRecord | undefined
  }
}

function newDesk(): Desk {
  const clock = new VirtualClock(1_000)
  return new Desk(clock, new MemoryCluster({ clock }))
}

const held = (desk: Desk) => Object.keys(desk.leads.facts())

test('services that are taken at the same time share one lease, and one renewal keeps them all', async () => {
  const desk = newDesk()
  await desk.takeAll()
  const leases = new Set(await Promise.all(NAMES.map(async (name) => (await desk.lead(name))?.lease)))
  expect([leases.size, desk.calls.acquire]).toEqual([1, 1])
  desk.calls.renew = 0
  await desk.clock.advance(10_000)
  expect(desk.calls.renew).toBeGreaterThanOrEqual(19)
  expect(desk.calls.renew).toBeLessThanOrEqual(21)
  expect(held(desk)).toEqual([...NAMES])
  expect([...desk.armed.values()].every((at) => at > desk.clock.mono() + 1_000)).toBe(true)
})

test('a service that is taken later stands on the same lease, and its time is what is left of that', async () => {
  const desk = newDesk()
  await desk.leads.take(ONE, 1, 0)
  await desk.clock.advance(400)
  await desk.leads.take(worker({ name: 'two' }), 1, 0)
  const facts = desk.leads.facts()
  expect(facts.two?.endsInMs).toBe(facts.one?.endsInMs)
  expect(facts.two?.endsInMs).toBeLessThanOrEqual(1_600)
})

test('a service with a lease of another length stands on one of its own', async () => {
  const desk = newDesk()
  await desk.leads.take(ONE, 1, 0)
  const { timing } = ONE
  await desk.leads.take(worker({ name: 'two', timing: { ...timing, leaseMs: 10_000 } }), 1, 0)
  expect(desk.calls.acquire).toBe(2)
  expect((await desk.lead('two'))?.ttlMs).toBe(10_000)
  desk.store.misbehave({ kind: 'away' })
  await desk.clock.advance(2_500)
  expect([held(desk), desk.killed]).toEqual([['two'], ['one']])
})

test('one lead is given up and the others go on: the lease is not ended and the fence forgets one process', async () => {
  const desk = newDesk()
  await desk.takeAll()
  await desk.leads.giveUp('two', 1, VACANCY)
  expect(desk.calls.release).toBe(0)
  await desk.clock.advance(10_000)
  expect([held(desk), desk.killed, [...desk.armed.keys()]]).toEqual([['one', 'three'], [], ['one', 'three']])
  expect(await desk.lead('two')).toBeUndefined()
  expect((await desk.lead('three'))?.node).toBe('a')
})

test('the last lead is given up: nothing is renewed any more, and nothing killed when the lease ends', async () => {
  const desk = newDesk()
  await desk.leads.take(ONE, 1, 0)
  await desk.look()
  await desk.leads.giveUp('one', 1, VACANCY)
  await desk.clock.advance(600)
  desk.calls.renew = 0
  await desk.clock.advance(10_000)
  expect([desk.calls.renew, desk.killed]).toEqual([0, []])
  await desk.look()
  expect(await desk.leads.take(ONE, 2, desk.agreed.revisionOf(KEY.service('one')))).toBe(true)
  expect(desk.calls.acquire).toBe(2)
})

test('the store says that the lease has ended: everything on it is killed at once', async () => {
  const desk = newDesk()
  await desk.takeAll()
  await desk.store.release((await desk.lead('one'))?.lease ?? '')
  await desk.clock.advance(501)
  expect([held(desk), desk.killed.sort()]).toEqual([[], [...NAMES].sort()])
})

test('the store is away: everything on the lease is killed before it ends, none later', async () => {
  const desk = newDesk()
  await desk.takeAll()
  desk.store.misbehave({ kind: 'away' })
  await desk.clock.advance(1_749)
  expect(desk.killed).toEqual([])
  await desk.clock.advance(1)
  expect(desk.killed.sort()).toEqual([...NAMES].sort())
})

test('another node was faster: the lease that was asked for in vain is not renewed for ever', async () => {
  const desk = newDesk()
  await desk.store.swap([], [{ key: KEY.service('one'), value: { term: 1, primary: 'b' } }])
  expect(await desk.leads.take(ONE, 1, 0)).toBe(false)
  await desk.clock.advance(3_000)
  desk.calls.renew = 0
  await desk.clock.advance(5_000)
  expect([desk.calls.renew, held(desk)]).toEqual([0, []])
})

test('the next agent of the node takes all leads over with one renewal, and takes others on the same lease', async () => {
  const before = newDesk()
  await before.takeAll()
  before.leads.close()
  const { clock, cluster } = before
  const desk = new Desk(clock, cluster)
  await desk.look()
  expect(await desk.leads.take(worker({ name: 'four' }), 1, 0)).toBe(true)
  for (const service of SERVICES) await desk.leads.adopt(service, (await desk.lead(service.name)) as LeadRecord, null)
  expect([held(desk).sort(), desk.calls.acquire]).toEqual([['four', ...NAMES].sort(), 0])
  expect(desk.calls.renew).toBeLessThanOrEqual(2)
})

test('the next agent reads another length of lease in its config: the lease is worth what it was taken for', async () => {
  const before = newDesk()
  await before.leads.take(ONE, 1, 0)
  before.leads.close()
  const desk = new Desk(before.clock, before.cluster)
  const { timing } = ONE
  const patient = worker({ name: 'one', timing: { ...timing, leaseMs: 60_000 } })
  await desk.leads.adopt(patient, (await desk.lead('one')) as LeadRecord, null)
  expect(desk.leads.facts().one?.endsInMs).toBe(2_000)
})

test('a lead that was given up is not taken over from an old picture, although the lease of the node lives', async () => {
  const desk = newDesk()
  await desk.takeAll()
  const old = (await desk.lead('one')) as LeadRecord
  await desk.leads.giveUp('one', 1, VACANCY)
  await expect(desk.leads.adopt(ONE, old, null)).rejects.toMatchObject({ code: 'UND_LEASE_LOST' })
  expect(held(desk)).toEqual(['two', 'three'])
})

test('a renewal that is due comes before what takes long, although its timer has not fired', async () => {
  const desk = newDesk()
  await desk.takeAll()
  await desk.clock.advance(100)
  desk.calls.renew = 0
  desk.leads.renewDue()
  expect(desk.calls.renew).toBe(0)
  const { mono } = desk.clock
  Object.assign(desk.clock, { mono: () => mono.call(desk.clock) + 500 }) // late: the loop was held up
  desk.leads.renewDue()
  desk.leads.renewDue()
  expect(desk.calls.renew).toBe(1)
})

test('a writer that is killed before the fence hears of the agent that took over is not said to be renewed just now', async () => {
  const desk = newDesk()
  await desk.takeAll()
  const next = new Desk(desk.clock, desk.cluster)
  await next.look()
  const lead = await next.lead('one')
  if (!lead) throw new Error('one is led')
  let hear: () => void = () => undefined
  next.hears = new Promise((resolve) => {
    hear = resolve
  })
  const taken = next.leads.adopt(ONE, lead, { pid: 2, startTime: 1 })
  await desk.clock.advance(40)
  expect(next.leads.whyNotRenewed('one')).toBe(
    'taken over from the agent before 40 ms ago, whose deadline the fence still had',
  )
  hear()
  await taken
  expect(next.leads.whyNotRenewed('one')).toBe('last renewed 40 ms ago')
})
