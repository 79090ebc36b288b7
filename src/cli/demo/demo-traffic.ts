/**
 * The demo's customers: a steady load at every node's balancer, from before the first fault until after the last. Some
 * read the page (GET), some order (POST, each order with an id of its own, by which it may be sent twice and is taken
 * once). It answers afterwards: between two moments, through the balancers of nodes that lived, how many requests were
 * there, which failed, how slow was the slowest, and which orders were acknowledged?
 */
import { inBackground } from '../../lib/background.ts'
import { failed, type Load, type LoadPlan, type Shot, startLoad } from '../../lib/steady-load.ts'
import { OrderIds } from './orders.ts'

export const PAGES_PER_SECOND = 20
export const ORDERS_PER_SECOND = 10

export interface BalancerUrl {
  readonly node: string
  readonly url: string
}

export interface Tally {
  readonly requests: number
  /** Pages that a living node's balancer did not answer with success: there must be none. */
  readonly failedPages: number
  /** Orders that were not acknowledged: their customers do not know whether they were taken. */
  readonly failedOrders: number
  readonly slowestPageMs: number
  /** The longest that a customer waited for an order: the pause that a fault of the database makes. */
  readonly slowestOrderMs: number
  /** The failed requests themselves, for the end of a demo that failed. */
  readonly failures: readonly Shot[]
}

interface Stream {
  readonly node: string
  readonly startedAt: number
  readonly load: Load
  readonly ids: OrderIds
}

export class Traffic {
  readonly #streams: Stream[] = []
  readonly #balancers: readonly BalancerUrl[]

  constructor(balancers: readonly BalancerUrl[]) {
    this.#balancers = balancers
    for (const balancer of balancers) this.#open(balancer)
  }

  /** No new customers at this node: it is about to be gone. Those who are there are not waited for. */
  leave(node: string): void {
    for (const stream of this.#streams) if (stream.node === node) inBackground(stream.load.stop(), 'ending a stream')
  }

  /** Customers come again. */
  enter(node: string): void {
    const balancer = this.#balancers.find((one) => one.node === node)
    if (balancer) this.#open(balancer)
  }

  async end(): Promise<void> {
    await Promise.all(this.#streams.map(({ load }) => load.stop()))
  }

  /** Requests that were due between two moments (Date.now), without the balancer of `except`. */
  tally(from: number, until: number, except?: string): Tally {
    const shots = this.#streams
      .filter(({ node }) => node !== except)
      .flatMap(({ load, startedAt }) =>
        load.shots.filter(({ atMs }) => startedAt + atMs >= from && startedAt + atMs < until),
      )
    const failures = shots.filter(failed)
    const [pages, orders] = [shots.filter(isPage), shots.filter((shot) => !isPage(shot))]
    return {
      requests: shots.length,
      failures,
      failedPages: pages.filter(failed).length,
      failedOrders: orders.filter(failed).length,
      slowestPageMs: slowestOf(pages),
      slowestOrderMs: slowestOf(orders),
    }
  }

  /** The ids of all orders that were acknowledged to customers, by whichever balancer. */
  acknowledgedOrders(): string[] {
    return this.#streams.flatMap(({ load, ids }) =>
      load.shots.filter((shot) => !isPage(shot) && !failed(shot)).map(({ index }) => ids.of(index)),
    )
  }

  #open({ node, url }: BalancerUrl): void {
    const ids = new OrderIds()
    const stream = (plan: Pick<LoadPlan, 'method' | 'perSecond' | 'headers'>, path: string) => {
      const load = startLoad({ urls: [`${url}${path}`], ...plan })
      this.#streams.push({ node, startedAt: Date.now(), load, ids })
    }
    stream({ method: 'GET', perSecond: PAGES_PER_SECOND }, '/')
    const headers = (index: number) => ({ 'Idempotency-Key': ids.of(index) })
    stream({ method: 'POST', perSecond: ORDERS_PER_SECOND, headers }, '/orders')
  }
}

function isPage({ method }: Shot): boolean {
  return method === 'GET'
}

function slowestOf(shots: readonly Shot[]): number {
  return shots.reduce((slowest, { tookMs }) => Math.max(slowest, tookMs), 0)
}
