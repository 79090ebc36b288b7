/**
 * The simulated network between hosts (nodes and the store). Each direction of each link is cut or not, on its own; a
 * message that is on its way when its direction is cut is lost as well. Delay, loss, doubling and overtaking are drawn
 * from the seed, so the conditions of one seed are always the same.
 */
import type { Clock } from '../lib/clock.ts'
import type { Random } from '../lib/random.ts'

export interface Weather {
  /** One way. Most messages take little more than the least. */
  readonly leastMs: number
  readonly mostMs: number
  /** Shares of messages, 0 to 1. */
  readonly lost: number
  readonly doubled: number
  readonly overtaking: number
}

export const FAIR: Weather = { leastMs: 0.2, mostMs: 1, lost: 0, doubled: 0, overtaking: 0 }

/** One direction between two hosts. */
interface Link {
  readonly from: string
  readonly to: string
  /** How often it was cut and not yet mended. */
  cuts: number
  /** What it adds to every message: a link that is about to fail. */
  lagMs: number
  lastArrival: number
}

/** What TCP waits before it sends again: a segment that is lost arrives late, not never. */
const RETRANSMIT_MS = 200

export class Network {
  readonly #clock: Clock
  readonly #random: Random
  readonly #links = new Map<string, Map<string, Link>>()
  readonly #cut = new Set<Link>()
  readonly #listeners: ((from: string, to: string) => void)[] = []
  weather: Weather = FAIR
  sent = 0
  lost = 0

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  /** Nothing arrives at `to` from `from` until it is mended as often as it was cut. */
  cut(from: string, to: string): void {
    const link = this.#link(from, to)
    link.cuts += 1
    this.#cut.add(link)
  }

  mend(from: string, to: string): void {
    const link = this.#link(from, to)
    if (link.cuts === 0) return
    link.cuts -= 1
    if (link.cuts > 0) return
    this.#cut.delete(link)
    for (const listener of this.#listeners) listener(from, to)
  }

  /** Makes one direction of a link slow; 0 makes it normal. */
  lag(from: string, to: string, ms: number): void {
    this.#link(from, to).lagMs = ms
  }

  mendAll(): void {
    for (const links of this.#links.values()) for (const link of links.values()) link.lagMs = 0
    for (const link of [...this.#cut]) {
      link.cuts = 1
      this.mend(link.from, link.to)
    }
  }

  isOpen(from: string, to: string): boolean {
    return this.#link(from, to).cuts === 0
  }

  onMended(listener: (from: string, to: string) => void): void {
    this.#listeners.push(listener)
  }

  /** A message that is sent and forgotten. */
  send(from: string, to: string, arrive: () => void): void {
    this.sent += 1
    if (this.#random() < this.weather.lost) {
      this.lost += 1
      return
    }
    this.#carry(from, to, 0, arrive)
    if (this.#random() < this.weather.doubled) this.#carry(from, to, 0, arrive)
  }

  /** A part of a TCP conversation: a loss makes it late. Only a cut loses it. */
  converse(from: string, to: string, arrive: () => void): void {
    this.sent += 1
    this.#carry(from, to, this.#random() < this.weather.lost ? RETRANSMIT_MS : 0, arrive)
  }

  #carry(from: string, to: string, extraMs: number, arrive: () => void): void {
    const { leastMs, mostMs, overtaking } = this.weather
    const luck = this.#random()
    const now = this.#clock.mono()
    const link = this.#link(from, to)
    let at = now + extraMs + link.lagMs + leastMs + (mostMs - leastMs) * luck * luck
    if (this.#random() >= overtaking) {
      at = Math.max(at, link.lastArrival)
      link.lastArrival = at
    }
    if (link.cuts > 0) {
      this.lost += 1
      return
    }
    this.#clock.after(at - now, () => {
      if (link.cuts === 0) arrive()
      else this.lost += 1
    })
  }

  #link(from: string, to: string): Link {
    return this.#links.get(from)?.get(to) ?? this.#firstUse(from, to)
  }

  #firstUse(from: string, to: string): Link {
    const link: Link = { from, to, cuts: 0, lagMs: 0, lastArrival: 0 }
    const links = this.#links.get(from) ?? new Map<string, Link>()
    this.#links.set(from, links.set(to, link))
    return link
  }
}
