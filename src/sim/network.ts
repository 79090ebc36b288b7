/**
 * The made-up network between hosts (nodes and the store). Each direction of each link is cut or not, on its own; a
 * message that is on its way when its direction is cut is lost as well. Delay, loss, doubling and overtaking are drawn
 * from the seed, so the weather of one seed is always the same.
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

/** What TCP waits before it sends again: a segment that is lost arrives late, not never. */
const RETRANSMIT_MS = 200

export class Network {
  readonly #clock: Clock
  readonly #random: Random
  readonly #cut = new Map<string, number>()
  readonly #lastArrival = new Map<string, number>()
  readonly #listeners: ((from: string, to: string) => void)[] = []
  /** Milliseconds that a link adds to every message, by `from to`: one that is about to fail. */
  readonly #lag = new Map<string, number>()
  weather: Weather = FAIR
  sent = 0
  lost = 0

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  /** Nothing arrives at `to` from `from` until it is mended as often as it was cut. */
  cut(from: string, to: string): void {
    const link = `${from} ${to}`
    this.#cut.set(link, (this.#cut.get(link) ?? 0) + 1)
  }

  mend(from: string, to: string): void {
    const link = `${from} ${to}`
    const left = (this.#cut.get(link) ?? 0) - 1
    if (left > 0) this.#cut.set(link, left)
    else if (this.#cut.delete(link)) for (const listener of this.#listeners) listener(from, to)
  }

  /** Makes one direction of a link slow; 0 makes it well. */
  lag(from: string, to: string, ms: number): void {
    this.#lag.set(`${from} ${to}`, ms)
  }

  mendAll(): void {
    this.#lag.clear()
    for (const link of [...this.#cut.keys()]) {
      const [from = '', to = ''] = link.split(' ')
      this.#cut.set(link, 1)
      this.mend(from, to)
    }
  }

  isOpen(from: string, to: string): boolean {
    return !this.#cut.has(`${from} ${to}`)
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
    const link = `${from} ${to}`
    let at = now + extraMs + (this.#lag.get(link) ?? 0) + leastMs + (mostMs - leastMs) * luck * luck
    if (this.#random() >= overtaking) {
      at = Math.max(at, this.#lastArrival.get(link) ?? 0)
      this.#lastArrival.set(link, at)
    }
    if (!this.isOpen(from, to)) {
      this.lost += 1
      return
    }
    this.#clock.after(at - now, () => {
      if (this.isOpen(from, to)) arrive()
      else this.lost += 1
    })
  }
}
