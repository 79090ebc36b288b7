/**
 * One lease of this node in the store, and the two clocks of it that this agent runs: when to renew it, and when whatever
 * stands on it must be killed. It knows nothing of services: leads.ts says which leads it carries.
 *
 * It is renewed while it carries something. Without anything to carry it ends by itself, and until then a new lead may stand
 * on it. Once over it stays over.
 */

import { endsInMs, killAt, type Lease, leaseRenewed, renewEveryMs } from '../core/lease.ts'
import { hasCode } from '../errors.ts'
import { inBackground } from '../lib/background.ts'
import type { Cancel, Clock } from '../lib/clock.ts'
import type { Store } from '../stores/store.ts'
import { Renewals } from './renewals.ts'

export interface NodeLeaseParts {
  readonly clock: Clock
  readonly store: Pick<Store, 'renew'>
  /** Does anything stand on it? */
  carries(): boolean
  /** It has more time: the fence must know. Rejects when that is not certain. */
  renewed(): Promise<void>
  /** The store did not answer, or the fence did not: it is tried again soon. */
  notRenewed(error: unknown): void
  /** It has ended, or ends too soon to do anything but kill: nothing may stand on it any more. Called once. */
  over(): void
}

export class NodeLease {
  readonly #parts: NodeLeaseParts
  #lease: Lease
  #renewal: { readonly at: number; readonly cancel: Cancel } | null = null
  #renewing = false
  #cancelKill: Cancel = () => undefined
  #isOver = false
  readonly #renewals: Renewals

  constructor(lease: Lease, parts: NodeLeaseParts) {
    this.#lease = lease
    this.#parts = parts
    this.#renewals = new Renewals(lease.endsAt - lease.ttlMs)
    this.#renewIn(renewEveryMs(lease))
    this.#scheduleKill()
  }

  get id(): string {
    return this.#lease.id
  }

  get ttlMs(): number {
    return this.#lease.ttlMs
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** When whatever stands on it must be killed, on the monotonic clock. */
  get killAt(): number {
    return killAt(this.#lease)
  }

  endsInMs(now: number): number {
    return this.#isOver ? 0 : endsInMs(this.#lease, now)
  }

  /** Why it does not end later than it does, for the instance that is killed by its end. */
  get whyNotRenewed(): string {
    return this.#renewals.why(this.#parts.clock.mono())
  }

  /** Renews now what is due. Called before anything that takes long, because timers come after it. */
  renewIfDue(): void {
    if (this.#renewal && this.#renewal.at <= this.#parts.clock.mono())
      inBackground(this.#renew(), 'a renewal of the lease')
  }

  /** Something stands on it that did not before. */
  loaded(): void {
    if (!this.#renewal) this.renewNow()
  }

  /** Whether it still lives in the store is in doubt. */
  renewNow(): void {
    if (!this.#isOver && !this.#renewing) this.#renewIn(0)
  }

  /** Lets it be: it is neither renewed nor is anything killed when it ends. */
  close(): void {
    this.#isOver = true
    this.#renewal?.cancel()
    this.#renewal = null
    this.#cancelKill()
  }

  #renewIn(ms: number): void {
    this.#renewal?.cancel()
    const { clock } = this.#parts
    this.#renewals.due(clock.mono() + ms)
    this.#renewal = {
      at: clock.mono() + ms,
      cancel: clock.after(ms, () => inBackground(this.#renew(), 'a renewal of the lease')),
    }
  }

  async #renew(): Promise<void> {
    this.#renewal?.cancel()
    this.#renewal = null
    if (this.#isOver || this.#renewing || !this.#parts.carries()) return
    this.#renewing = true
    const sentAt = this.#parts.clock.mono()
    let nextMs = renewEveryMs(this.#lease)
    this.#renewals.asked(sentAt)
    try {
      await this.#parts.store.renew(this.#lease.id)
      if (this.#isOver) return
      this.#renewals.renewed(sentAt)
      this.#lease = leaseRenewed(this.#lease, sentAt)
      this.#scheduleKill()
      await this.#parts.renewed()
    } catch (error) {
      if (this.#isOver) return
      if (hasCode(error, 'UND_LEASE_LOST')) return this.#end()
      nextMs /= 2
      this.#renewals.failed(error as Error)
      this.#parts.notRenewed(error)
    } finally {
      this.#renewing = false
      if (!this.#isOver) this.#renewIn(Math.max(0, sentAt + nextMs - this.#parts.clock.mono()))
    }
  }

  #scheduleKill(): void {
    this.#cancelKill()
    this.#cancelKill = this.#parts.clock.after(this.killAt - this.#parts.clock.mono(), () => this.#end())
  }

  #end(): void {
    if (this.#isOver) return
    this.close()
    this.#parts.over()
  }
}
