/**
 * Balancer and fence outlive their agent, so an agent of another version finds those of the version before. It has them replaced by
 * its own, one after the other, and only while they are what they should be: a balancer hands over its sockets and keeps its
 * connections until they end (balancer/hand-over.ts), a fence is relieved by one that knows what it has armed (fence-replace.ts).
 *
 * A balancer from before there was a protocol cannot hand over: it stays, works with this agent, and `status` says so.
 */
import { type Speaks, UNSAID_PROTOCOL } from '../core/protocol.ts'

/** What it is about: the two, and how they are replaced. */
export interface RenewalPorts {
  readonly version: string
  readonly balancer: { readonly speaks: Speaks | null; readonly pid: number | null }
  readonly fence: { readonly speaks: Speaks | null; alive(): boolean }
  /** The pid of the balancer that is looked after. */
  balancerPid(): number | null
  adoptBalancer(): void
  handOver(): void
  replaceFence(): void
}

/** An attempt that came to nothing is made again after this long: a program may be missing for a moment, while it is installed. */
export const AGAIN_MS = 15_000
/** So long an agent runs before it touches what it found: one that dies at once changes nothing. */
export const SETTLED_MS = 2_000

export class CompanionRenewal {
  readonly #ports: RenewalPorts
  readonly #begunAt: number
  readonly #triedAt = { fence: Number.NEGATIVE_INFINITY, balancer: Number.NEGATIVE_INFINITY }

  constructor(ports: RenewalPorts, now: number) {
    this.#ports = ports
    this.#begunAt = now
  }

  look(now: number): void {
    const { version, balancer, fence, balancerPid, adoptBalancer, handOver, replaceFence } = this.#ports
    if (balancer.pid !== null && balancer.pid !== balancerPid()) adoptBalancer()
    if (now - this.#begunAt < SETTLED_MS || !fence.alive() || !fence.speaks) return
    if (fence.speaks.version !== version) {
      if (this.#isDue('fence', now)) replaceFence()
    } else if (balancer.speaks && balancer.speaks.version !== version && balancer.speaks.protocol > UNSAID_PROTOCOL) {
      if (this.#isDue('balancer', now)) handOver()
    }
  }

  #isDue(which: 'fence' | 'balancer', now: number): boolean {
    if (now - this.#triedAt[which] < AGAIN_MS) return false
    this.#triedAt[which] = now
    return true
  }
}
