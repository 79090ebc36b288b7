/**
 * The demo's customers: a steady load at every node's front door, GET and POST, from before the first fault until after
 * the last. What matters is asked of it afterwards: between two moments, through the doors of nodes that lived, how many
 * requests were there, which failed, and how slow was the slowest?
 */
import { failed, type Load, type Shot, startLoad } from '../../lib/load.ts'

export const GETS_PER_SECOND = 20
export const POSTS_PER_SECOND = 5

export interface Door {
  readonly node: string
  readonly url: string
}

export interface Tally {
  readonly requests: number
  /** GETs that a living node's door did not answer with success: there must be none. */
  readonly failedGets: number
  /** POSTs whose fate the client does not know, because the instance died with them. */
  readonly failedPosts: number
  readonly slowestMs: number
  /** The failed GETs themselves, for the end of a demo that failed. */
  readonly failures: readonly Shot[]
}

interface Stream {
  readonly node: string
  readonly startedAt: number
  readonly load: Load
}

export class Traffic {
  readonly #streams: Stream[] = []
  readonly #doors: readonly Door[]

  constructor(doors: readonly Door[]) {
    this.#doors = doors
    for (const door of doors) this.#open(door)
  }

  /** No new customers at this door: its node is about to be gone. Those who are there are not waited for. */
  leave(node: string): void {
    for (const stream of this.#streams) if (stream.node === node) void stream.load.stop()
  }

  /** Customers come again. */
  enter(node: string): void {
    const door = this.#doors.find((one) => one.node === node)
    if (door) this.#open(door)
  }

  async end(): Promise<void> {
    await Promise.all(this.#streams.map(({ load }) => load.stop()))
  }

  /** Requests that were due between two moments (Date.now), without the door of `except`. */
  tally(from: number, until: number, except?: string): Tally {
    const shots = this.#streams
      .filter(({ node }) => node !== except)
      .flatMap(({ load, startedAt }) =>
        load.shots.filter(({ atMs }) => startedAt + atMs >= from && startedAt + atMs < until),
      )
    const lost = shots.filter(failed)
    const failures = lost.filter(({ method }) => method === 'GET')
    return {
      requests: shots.length,
      failures,
      failedGets: failures.length,
      failedPosts: lost.filter(({ method }) => method !== 'GET').length,
      slowestMs: shots.reduce((slowest, { tookMs }) => Math.max(slowest, tookMs), 0),
    }
  }

  #open({ node, url }: Door): void {
    const stream = (method: string, path: string, perSecond: number) =>
      this.#streams.push({
        node,
        startedAt: Date.now(),
        load: startLoad({ urls: [`${url}${path}`], method, perSecond }),
      })
    stream('GET', '/', GETS_PER_SECOND)
    stream('POST', '/orders', POSTS_PER_SECOND)
  }
}
