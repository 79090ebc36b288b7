/**
 * The leads that this node holds, and the leases under them. Taking, renewing and giving up all go through the store; what
 * a lease is worth is core/lease.ts; that nothing outlives it is the fence's business and, before the fence, this file's
 * own timer. So a single writer has two guards with a clock each, and either is enough.
 */
import { endsInMs, killAt, type Lease, leaseGranted, leaseRenewed, renewEveryMs } from '../core/lease.ts'
import type { NodeName, ServiceName, ServiceSpec, Term } from '../core/model.ts'
import type { LeadRecord, ServiceRecord, Vacancy } from '../core/records.ts'
import type { HeldLease } from '../core/view.ts'
import { hasCode, UnderstudyError } from '../errors.ts'
import type { Cancel } from '../lib/clock.ts'
import type { ProcessIdentity } from '../lib/proc.ts'
import { type Agreed, KEY } from './agreed.ts'
import type { World } from './world.ts'

interface Held {
  lease: Lease
  readonly adopted: boolean
  identity: ProcessIdentity | null
  cancelRenewal: Cancel
  cancelKill: Cancel
}

export class Leads {
  readonly #world: Pick<World, 'clock' | 'store' | 'fence' | 'drivers'>
  readonly #self: NodeName
  readonly #agreed: Agreed
  readonly #changed: () => void
  readonly #held = new Map<ServiceName, Held>()
  #closed = false

  constructor(
    world: Pick<World, 'clock' | 'store' | 'fence' | 'drivers'>,
    self: NodeName,
    agreed: Agreed,
    changed: () => void,
  ) {
    this.#world = world
    this.#self = self
    this.#agreed = agreed
    this.#changed = changed
  }

  /** What the view says of them. */
  facts(): Record<ServiceName, HeldLease> {
    const now = this.#world.clock.mono()
    const facts: Record<ServiceName, HeldLease> = {}
    for (const [name, { lease, adopted }] of this.#held)
      facts[name] = { term: lease.term, endsInMs: endsInMs(lease, now), adopted }
    return facts
  }

  /** Wins the term or does not: false when somebody else was faster. The lease counts from before it was asked for. */
  async take(service: ServiceSpec, term: Term, revision: number): Promise<boolean> {
    const { clock, store } = this.#world
    const sentAt = clock.mono()
    const ttlMs = service.timing.leaseMs
    const id = await store.acquire(ttlMs)
    const record: ServiceRecord = { term, primary: this.#self }
    const lead: LeadRecord = { node: this.#self, term, lease: id }
    const won = await store.swap(
      [
        { key: KEY.service(service.name), revision },
        { key: KEY.lead(service.name), revision: 0 },
      ],
      [
        { key: KEY.service(service.name), value: record },
        { key: KEY.lead(service.name), value: lead, lease: id },
      ],
    )
    if (won === 'conflict') {
      await store.release(id)
      return false
    }
    this.#hold(service.name, leaseGranted({ id, term, ttlMs }, sentAt), null, false)
    return true
  }

  /**
   * Goes on with a lead that an earlier agent of this node took: the store says that it is ours, and a renewal proves that
   * its lease still lives. Until then this agent holds nothing.
   */
  async adopt(service: ServiceSpec, lead: LeadRecord, identity: ProcessIdentity | null): Promise<void> {
    if (this.#held.has(service.name)) return
    const sentAt = this.#world.clock.mono()
    await this.#world.store.renew(lead.lease)
    if (this.#held.has(service.name) || this.#closed) return
    const lease = leaseGranted({ id: lead.lease, term: lead.term, ttlMs: service.timing.leaseMs }, sentAt)
    this.#hold(service.name, lease, identity, true)
    await this.#guard(service.name)
  }

  /** Puts a process under the fence for as long as the lease lasts. Rejects when that is not certain. */
  async cover(service: ServiceName, term: Term, identity: ProcessIdentity): Promise<void> {
    const held = this.#held.get(service)
    if (!held || held.lease.term !== term)
      throw new UnderstudyError('UND_LEASE_LOST', `the lead of ${service} in term ${term} is not held any more`)
    held.identity = identity
    await this.#guard(service)
  }

  /** Frees the lead for whoever is next. Nothing of the old primary may be left: the caller has seen to that. */
  async giveUp(service: ServiceName, term: Term, vacancy: Vacancy): Promise<void> {
    const { store, fence } = this.#world
    const held = this.#held.get(service)
    const record: ServiceRecord = { term, primary: this.#self, vacancy }
    const outcome = await store.swap(
      [{ key: KEY.service(service), revision: this.#agreed.revisionOf(KEY.service(service)) }],
      [
        { key: KEY.service(service), value: record },
        { key: KEY.lead(service), value: undefined },
      ],
    )
    if (outcome === 'conflict')
      throw new UnderstudyError('UND_STORE_AWAY', `the record of ${service} changed meanwhile`)
    this.#drop(service)
    if (!held) return
    if (held.identity) await fence.disarm(service, held.identity).catch(() => undefined) // what it guards is dead already
    await store.release(held.lease.id).catch(() => undefined) // the key is gone; the empty lease ends by itself
  }

  /** Stops renewing and lets the leases be: another agent of this node may go on with them. */
  close(): void {
    this.#closed = true
    for (const service of [...this.#held.keys()]) this.#drop(service)
  }

  #hold(service: ServiceName, lease: Lease, identity: ProcessIdentity | null, adopted: boolean): void {
    this.#drop(service)
    this.#held.set(service, { lease, identity, adopted, cancelRenewal: () => undefined, cancelKill: () => undefined })
    this.#scheduleRenewal(service, renewEveryMs(lease))
    this.#scheduleKill(service)
  }

  #drop(service: ServiceName): void {
    const held = this.#held.get(service)
    held?.cancelRenewal()
    held?.cancelKill()
    this.#held.delete(service)
  }

  #scheduleRenewal(service: ServiceName, inMs: number): void {
    const held = this.#held.get(service)
    if (!held || this.#closed) return
    held.cancelRenewal()
    held.cancelRenewal = this.#world.clock.after(inMs, () => void this.#renew(service))
  }

  async #renew(service: ServiceName): Promise<void> {
    const held = this.#held.get(service)
    if (!held) return
    const sentAt = this.#world.clock.mono()
    try {
      await this.#world.store.renew(held.lease.id)
      this.#agreed.wroteWell()
      if (this.#held.get(service) !== held) return
      held.lease = leaseRenewed(held.lease, sentAt)
      this.#scheduleKill(service)
      this.#scheduleRenewal(service, renewEveryMs(held.lease))
      await this.#guard(service)
    } catch (error) {
      this.#renewalFailed(service, held, error)
    }
  }

  #renewalFailed(service: ServiceName, held: Held, error: unknown): void {
    if (this.#held.get(service) !== held) return
    if (hasCode(error, 'UND_LEASE_LOST')) this.#drop(service)
    else {
      if (hasCode(error, 'UND_STORE_FULL') || hasCode(error, 'UND_STORE_READ_ONLY'))
        this.#agreed.wroteBadly(error as Error)
      this.#scheduleRenewal(service, renewEveryMs(held.lease) / 2)
    }
    this.#changed()
  }

  /** Tells the fence the moment that holds now. A fence that does not answer keeps the earlier one: the safe side. */
  async #guard(service: ServiceName): Promise<void> {
    const held = this.#held.get(service)
    if (held?.identity) await this.#world.fence.arm(service, held.identity, killAt(held.lease))
  }

  #scheduleKill(service: ServiceName): void {
    const held = this.#held.get(service)
    if (!held) return
    held.cancelKill()
    held.cancelKill = this.#world.clock.after(killAt(held.lease) - this.#world.clock.mono(), () =>
      this.#outOfTime(service, held),
    )
  }

  #outOfTime(service: ServiceName, held: Held): void {
    if (this.#held.get(service) !== held) return
    this.#drop(service)
    // Killing when nothing leads here any more is harmless; not killing when something does is not.
    void this.#world.drivers
      .get(service)
      ?.kill()
      .catch(() => undefined) // the fence stands behind this
    this.#changed()
  }
}
