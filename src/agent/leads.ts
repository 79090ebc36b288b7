/**
 * The leads that this node holds, and the lease under them: one lease of the node carries all its leads (and one more
 * for each other length of lease that the config asks for), so that an idle node renews one thing. Taking, renewing and
 * giving up all go through the store; what a lease is worth is core/lease.ts; that nothing outlives it is up to the
 * fence and, before the fence, to node-lease.ts's own timer. So a single writer has two guards with a clock each, and
 * either is enough.
 *
 * What follows from sharing:
 * - A lease that is lost is lost for all that it carries: everything on it is killed, in one go.
 * - A single service is freed by removing its key `lead/<service>`; the lease goes on for the others. A lead that was
 *   won is worth what is left of the lease, no more.
 * - That the lease lives does not say that it still carries a given lead: an agent that takes a lead over from an
 *   earlier agent of this node reads its key as well.
 */
import { type Lease, leaseGranted } from '../core/lease.ts'
import type { NodeName, ServiceName, ServiceSpec, Term } from '../core/model.ts'
import type { LeadRecord, ServiceRecord, Vacancy } from '../core/records.ts'
import type { HeldLease } from '../core/view.ts'
import { hasCode, UnderstudyError } from '../errors.ts'
import { formatDuration } from '../lib/duration.ts'
import type { ProcessIdentity } from '../lib/proc.ts'
import type { LeaseId } from '../stores/store.ts'
import type { World } from './agent-ports.ts'
import { type AgreedRecords, KEY } from './agreed-records.ts'
import { NodeLease } from './node-lease.ts'

interface Held {
  readonly term: Term
  readonly adopted: boolean
  readonly on: NodeLease
  identity: ProcessIdentity | null
  /** When this agent took it over from the one before, until the fence has a deadline of this agent's. */
  takenOverAt: number | null
}

export class Leads {
  readonly #world: Pick<World, 'clock' | 'store' | 'fence' | 'drivers'>
  readonly #self: NodeName
  readonly #agreed: AgreedRecords
  readonly #changed: () => void
  readonly #held = new Map<ServiceName, Held>()
  readonly #leases = new Map<LeaseId, NodeLease>()
  /** Leases on their way, by what was asked for: services that ask at the same time share one. */
  readonly #coming = new Map<string, Promise<NodeLease>>()
  /** Leases that a lead is being taken on. */
  readonly #taking = new Map<NodeLease, number>()
  #closed = false

  constructor(
    world: Pick<World, 'clock' | 'store' | 'fence' | 'drivers'>,
    self: NodeName,
    agreed: AgreedRecords,
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
    for (const [name, { term, on, adopted }] of this.#held) facts[name] = { term, endsInMs: on.endsInMs(now), adopted }
    return facts
  }

  /** Renews what is due, before anything that takes long. */
  renewDue(): void {
    for (const lease of this.#leases.values()) lease.renewIfDue()
  }

  /** Wins the term or does not: false when another node was faster. */
  async take(service: ServiceSpec, term: Term, revision: number): Promise<boolean> {
    const on = await this.#leaseOf(service.timing.leaseMs)
    const done = this.#use(on)
    try {
      const record: ServiceRecord = { term, primary: this.#self }
      const lead: LeadRecord = { node: this.#self, term, lease: on.id, ttlMs: on.ttlMs }
      const won = await this.#world.store.swap(
        [
          { key: KEY.service(service.name), revision },
          { key: KEY.lead(service.name), revision: 0 },
        ],
        [
          { key: KEY.service(service.name), value: record },
          { key: KEY.lead(service.name), value: lead, lease: on.id },
        ],
      )
      if (won === 'conflict') {
        on.renewNow() // another node was faster, or the lease has ended in the store: then it is lost now and not later
        return false
      }
      this.#hold(service.name, { term, on, identity: null, adopted: false, takenOverAt: null })
      return true
    } finally {
      done()
    }
  }

  /**
   * Goes on with a lead that an earlier agent of this node took. A renewal proves that its lease lives, a look afterwards
   * that the lead is still on it. Until then this agent holds nothing.
   */
  async adopt(service: ServiceSpec, lead: LeadRecord, identity: ProcessIdentity | null): Promise<void> {
    if (this.#held.has(service.name)) return
    const on = await this.#takeOver(lead.lease, lead.ttlMs ?? service.timing.leaseMs)
    const done = this.#use(on)
    try {
      const key = KEY.lead(service.name)
      const found = (await this.#world.store.read(key)).entries.get(key)?.value as LeadRecord | undefined
      if (found?.lease !== lead.lease || found.term !== lead.term) throw lost(service.name, lead.term)
      if (this.#held.has(service.name) || this.#closed) return
      this.#hold(service.name, { term: lead.term, on, identity, adopted: true, takenOverAt: this.#world.clock.mono() })
    } finally {
      done()
    }
    await this.#guard(service.name)
  }

  /** Why the lease of this lead is not longer than it is; undefined when no lead is held. */
  whyNotRenewed(service: ServiceName): string | undefined {
    const held = this.#held.get(service)
    if (!held || held.takenOverAt === null) return held?.on.whyNotRenewed
    // The last renewal was this agent's, and the deadline was the agent's before: the one does not explain the other.
    const agoMs = this.#world.clock.mono() - held.takenOverAt
    return `taken over from the agent before ${formatDuration(agoMs)} ago, whose deadline the fence still had`
  }

  /** Puts a process under the fence for as long as the lease lasts. Rejects when that is not certain. */
  async cover(service: ServiceName, term: Term, identity: ProcessIdentity): Promise<void> {
    const held = this.#held.get(service)
    // By the clock and not only by what is held: after a pause of this process its timers have not run yet.
    if (!held || held.term !== term || held.on.killAt <= this.#world.clock.mono()) throw lost(service, term)
    held.identity = identity
    await this.#guard(service)
  }

  /** Frees the lead for the next node. Nothing of the old primary may be left: the caller has seen to that. */
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
    this.#held.delete(service)
    if (held?.identity) await fence.disarm(service, held.identity).catch(() => undefined) // what it guards is dead already
  }

  /** The store shows that this lead is not ours any more: its process gets no more time from the fence. */
  forget(service: ServiceName, term: Term): void {
    if (this.#held.get(service)?.term === term) this.#held.delete(service)
  }

  /** Stops renewing and lets the leases be: another agent of this node may go on with them. */
  close(): void {
    this.#closed = true
    for (const lease of this.#leases.values()) lease.close()
    this.#leases.clear()
    this.#held.clear()
  }

  #hold(service: ServiceName, held: Held): void {
    if (this.#closed || held.on.isOver) throw lost(service, held.term)
    this.#held.set(service, held)
    held.on.loaded()
  }

  /** Keeps a lease renewed until the returned function is called. */
  #use(lease: NodeLease): () => void {
    this.#taking.set(lease, (this.#taking.get(lease) ?? 0) + 1)
    lease.loaded()
    return () => {
      const left = (this.#taking.get(lease) ?? 0) - 1
      if (left > 0) this.#taking.set(lease, left)
      else this.#taking.delete(lease)
    }
  }

  #carries(lease: NodeLease): boolean {
    return this.#taking.has(lease) || [...this.#held.values()].some(({ on }) => on === lease)
  }

  /** The node's lease of this length: one that is held, one that an earlier agent left, or a new one. */
  #leaseOf(ttlMs: number): Promise<NodeLease> {
    const now = this.#world.clock.mono()
    const lasts = (lease: NodeLease) => this.#carries(lease) || lease.endsInMs(now) > ttlMs / 2
    const held = [...this.#leases.values()].find((lease) => lease.ttlMs === ttlMs && lasts(lease))
    if (held) return Promise.resolve(held)
    return this.#once(`${ttlMs} ms`, async () => {
      for (const id of this.#agreed.leasesOf(this.#self, ttlMs)) {
        const found = await this.#takeOver(id, ttlMs).catch(unlessLost)
        if (found) return found
      }
      const sentAt = this.#world.clock.mono()
      const id = await this.#world.store.acquire(ttlMs)
      return this.#begin(leaseGranted({ id, ttlMs }, sentAt))
    })
  }

  /** A lease of an earlier agent of this node, or of this one after an unknown outcome; rejects when it has ended. */
  #takeOver(id: LeaseId, ttlMs: number): Promise<NodeLease> {
    const held = this.#leases.get(id)
    if (held) return Promise.resolve(held)
    return this.#once(id, async () => {
      const sentAt = this.#world.clock.mono()
      await this.#world.store.renew(id)
      return this.#begin(leaseGranted({ id, ttlMs }, sentAt))
    })
  }

  #once(what: string, ask: () => Promise<NodeLease>): Promise<NodeLease> {
    const coming = this.#coming.get(what) ?? ask().finally(() => this.#coming.delete(what))
    this.#coming.set(what, coming)
    return coming
  }

  #begin(lease: Lease): NodeLease {
    if (this.#closed) throw new UnderstudyError('UND_LEASE_LOST', 'this agent ends')
    const begun: NodeLease = new NodeLease(lease, {
      clock: this.#world.clock,
      store: this.#world.store,
      carries: () => this.#carries(begun),
      renewed: async () => {
        await Promise.all(this.#on(begun).map((service) => this.#guard(service)))
      },
      notRenewed: (error) => this.#notRenewed(error),
      over: () => this.#over(begun),
    })
    this.#leases.set(lease.id, begun)
    return begun
  }

  #on(lease: NodeLease): ServiceName[] {
    return [...this.#held].filter(([, { on }]) => on === lease).map(([service]) => service)
  }

  #notRenewed(error: unknown): void {
    if (hasCode(error, 'UND_STORE_FULL') || hasCode(error, 'UND_STORE_READ_ONLY'))
      this.#agreed.wroteBadly(error as Error)
    this.#changed()
  }

  /** Tells the fence the moment that holds now. A fence that does not answer keeps the earlier one: the safe side. */
  async #guard(service: ServiceName): Promise<void> {
    const held = this.#held.get(service)
    if (!held?.identity) return
    await this.#world.fence.arm(service, held.identity, held.on.killAt)
    held.takenOverAt = null
  }

  #over(lease: NodeLease): void {
    const services = this.#on(lease)
    this.#leases.delete(lease.id)
    for (const service of services) this.#held.delete(service)
    // Killing when nothing leads here any more is harmless; not killing when something does is not.
    const why = `killed by its agent: its lease was about to end (${lease.whyNotRenewed})`
    for (const service of services) void this.#world.drivers.get(service)?.kill(why).catch(fenceStandsBehind)
    if (services.length > 0) this.#changed()
  }
}

function fenceStandsBehind(): void {
  // What could not be killed here is killed by the fence, at the same moment.
}

function unlessLost(error: unknown): undefined {
  if (!hasCode(error, 'UND_LEASE_LOST')) throw error
}

function lost(service: ServiceName, term: Term): UnderstudyError {
  return new UnderstudyError('UND_LEASE_LOST', `${service} is no longer held in term ${term}`)
}
