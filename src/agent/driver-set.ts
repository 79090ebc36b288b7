/**
 * The drivers of this node, one for each service of the config that holds. A driver is made for one config of its service: when
 * that changes, it lets go and another one takes over what runs, exactly as after a restart of the agent. So there is one way to
 * come upon something that runs, and no driver has to know how to change under way.
 *
 * While a driver is replaced the service counts as busy, its last report stands, and a verb waits for the new driver: also a kill,
 * for the fence knows the process and kills on time without either.
 */
import type { InstanceReport, ServiceName, ServiceSpec } from '../core/model.ts'
import { targetOf } from '../core/rollout.ts'
import type { Driver } from '../drivers/driver.ts'
import { inBackground } from '../lib/background.ts'
import type { Stop } from '../lib/stop.ts'

/** What the agent asks of them. */
export interface Drivers {
  /** The driver to act through; undefined for a service that neither the config nor a removed part of it names. */
  get(service: ServiceName): Driver | undefined
  /** The reports of all instances. */
  observe(): Record<ServiceName, InstanceReport>
  /** Makes and replaces drivers so that they fit; one at work is replaced later, when it is asked again. */
  fit(services: readonly ServiceSpec[], removed: readonly ServiceSpec[], work: Work): void
  /** Nothing is left of a removed service here: its driver lets go. */
  drop(service: ServiceName): void
  onChange(listener: () => void): Stop
}

/** What is under way for a service, and the means to keep it from beginning. */
export interface Work {
  isBusy(service: ServiceName): boolean
  occupy(service: ServiceName): Stop
}

interface Held {
  readonly driver: Driver
  readonly service: ServiceSpec
  /** Of `service`: what the reports of this driver are about. */
  readonly target: string
  readonly unheard: Stop
  /** Until it has taken over what runs. */
  adopting: { readonly report: InstanceReport | undefined; readonly done: Promise<void> } | undefined
}

export interface DriverSetParts {
  create(service: ServiceSpec): Driver
  /** Told when what runs could not be taken over; the driver then refuses to start anything. */
  notAdopted(service: ServiceName, error: Error): void
}

export class DriverSet implements Drivers {
  readonly #parts: DriverSetParts
  readonly #held = new Map<ServiceName, Held>()
  readonly #listeners = new Set<() => void>()
  /** Removed services of which nothing is left here. */
  readonly #dropped = new Set<ServiceName>()
  #fitted: { readonly services: readonly ServiceSpec[]; readonly removed: readonly ServiceSpec[] } | undefined
  #closed = false

  constructor(parts: DriverSetParts) {
    this.#parts = parts
  }

  /** Makes the first drivers; resolves when all have taken over what runs. Never rejects. */
  async begin(services: readonly ServiceSpec[]): Promise<void> {
    await Promise.all(services.map((service) => this.#make(service, undefined)))
  }

  get(service: ServiceName): Driver | undefined {
    const held = this.#held.get(service)
    return held?.adopting ? afterAdoption(held.driver, held.adopting.done) : held?.driver
  }

  observe(): Record<ServiceName, InstanceReport> {
    const reports: Record<ServiceName, InstanceReport> = {}
    for (const [name, { driver, adopting, target }] of this.#held)
      reports[name] = adopting?.report ?? { ...driver.observe(), target }
    return reports
  }

  fit(services: readonly ServiceSpec[], removed: readonly ServiceSpec[], work: Work): void {
    if (this.#closed || (this.#fitted?.services === services && this.#fitted.removed === removed)) return
    let waits = false
    for (const service of services) this.#dropped.delete(service.name)
    for (const service of [...services, ...removed]) {
      const held = this.#held.get(service.name)
      if (held ? isSame(held.service, service) : this.#dropped.has(service.name)) continue
      if (held?.adopting || work.isBusy(service.name)) waits = true
      else this.#replace(service, held, work)
    }
    if (!waits) this.#fitted = { services, removed }
  }

  drop(service: ServiceName): void {
    const held = this.#held.get(service)
    if (!held) return
    this.#held.delete(service)
    this.#dropped.add(service)
    held.unheard()
    inBackground(held.driver.close(), 'the end of a driver')
  }

  onChange(listener: () => void): Stop {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** All let go. Whatever runs goes on running. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#held.values()].map(({ driver }) => driver.close()))
  }

  #replace(service: ServiceSpec, before: Held | undefined, work: Work): void {
    const free = work.occupy(service.name)
    const report = before && { ...before.driver.observe(), target: before.target }
    before?.unheard()
    const closed = before?.driver.close() ?? Promise.resolve()
    inBackground(this.#make(service, report, closed).finally(free), 'the change of a driver')
  }

  #make(
    service: ServiceSpec,
    report: InstanceReport | undefined,
    before: Promise<void> = Promise.resolve(),
  ): Promise<void> {
    const driver = this.#parts.create(service)
    const unheard = driver.onChange(() => this.#changed())
    const held: Held = { driver, service, target: targetOf(service), unheard, adopting: undefined }
    const adopt = async () => {
      try {
        await before
        await driver.adopt()
      } catch (error) {
        this.#parts.notAdopted(service.name, error as Error)
      }
      held.adopting = undefined
      this.#changed()
    }
    const done = adopt()
    held.adopting = { report, done }
    this.#held.set(service.name, held)
    return done
  }

  #changed(): void {
    for (const listener of this.#listeners) listener()
  }
}

/** How many there are, and who confirms what, is not the driver's business: it is told. */
function isSame(a: ServiceSpec, b: ServiceSpec): boolean {
  return a === b || keyOf(a) === keyOf(b)
}

function keyOf({ instances: _, replication: __, stopped: ___, ...rest }: ServiceSpec): string {
  return JSON.stringify(rest)
}

const AT_ONCE = new Set<PropertyKey>(['observe', 'onChange', 'close'])

/** Stands for a driver that still takes over what runs: its verbs begin after that. */
function afterAdoption(driver: Driver, done: Promise<void>): Driver {
  return new Proxy(driver, {
    get(target, name) {
      const verb: unknown = Reflect.get(target, name)
      if (typeof verb !== 'function') return verb
      if (AT_ONCE.has(name)) return verb.bind(target)
      return async (...args: unknown[]) => {
        await done
        return verb.apply(target, args)
      }
    },
  })
}
