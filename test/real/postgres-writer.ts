/** Writes rows through a door, one every 10 ms on one connection that is opened again when it broke, and keeps the ledger. */
import pg from 'pg'
import { systemClock as clock, sleep } from '../../src/lib/clock.ts'

export interface Target {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
}

const EVERY_MS = 10

export class BalancerWriter {
  readonly acknowledged: number[] = []
  /** What the client was told, with how often. */
  readonly errors = new Map<string, number>()
  longestGapMs = 0
  readonly #target: Target
  #stopped = false
  #done: Promise<void> = Promise.resolve()
  #lastAt = 0

  constructor(target: Target) {
    this.#target = target
  }

  async begin(): Promise<void> {
    const client = await this.#connect()
    await client.query('create table ledger (id bigint primary key, at timestamptz default now())')
    await client.end()
    this.#done = this.#write()
  }

  /** Waits for so many more. */
  async untilAcknowledged(more: number, withinMs = 60_000): Promise<void> {
    const wanted = this.acknowledged.length + more
    const deadline = clock.mono() + withinMs
    while (this.acknowledged.length < wanted) {
      if (clock.mono() > deadline) {
        throw new Error(
          `${wanted - this.acknowledged.length} of ${more} rows were not acknowledged; told: ${this.told()}`,
        )
      }
      await sleep(clock, 5)
    }
  }

  /** Waits until one gap was at least so long: the fault has been felt. Gives up quietly, because some are not. */
  async untilGap(leastMs: number, withinMs = 8_000): Promise<void> {
    const deadline = clock.mono() + withinMs
    while (this.longestGapMs < leastMs && clock.mono() < deadline) await sleep(clock, 5)
  }

  forgetGap(): void {
    this.longestGapMs = 0
  }

  told(): string {
    return [...this.errors].map(([what, times]) => `${times} × ${what}`).join('; ')
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#done
  }

  /** Acknowledged and not there. Ends the writing. */
  async lost(): Promise<number[]> {
    await this.stop()
    const client = await this.#connect()
    try {
      const { rows } = await client.query('select id::int from ledger')
      const there = new Set(rows.map((row) => row.id as number))
      return this.acknowledged.filter((id) => !there.has(id))
    } finally {
      await client.end()
    }
  }

  async #write(): Promise<void> {
    let client: pg.Client | undefined
    for (let id = 1; !this.#stopped; id += 1) {
      try {
        client ??= await this.#connect()
        await client.query('insert into ledger (id) values ($1)', [id])
        this.#note(id)
      } catch (error) {
        const what = (error as { code?: string }).code ?? (error as Error).message
        this.errors.set(what, (this.errors.get(what) ?? 0) + 1)
        client?.end().catch(() => {}) // it is broken already
        client = undefined
      }
      await sleep(clock, EVERY_MS)
    }
    await client?.end()
  }

  #note(id: number): void {
    const now = clock.mono()
    if (this.#lastAt > 0) this.longestGapMs = Math.max(this.longestGapMs, now - this.#lastAt)
    this.#lastAt = now
    this.acknowledged.push(id)
  }

  async #connect(): Promise<pg.Client> {
    const client = new pg.Client({ ...this.#target, connectionTimeoutMillis: 20_000 })
    client.on('error', () => {}) // the call that waits for an answer rejects with it
    await client.connect()
    return client
  }
}
