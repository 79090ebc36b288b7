/**
 * Writers that go through the doors of all nodes, a reader, and the ledger of what they were told. The ledger is the judge:
 *
 *   * a row that was acknowledged is on every copy in the end, and on the primary whenever it is read there;
 *   * no client that begins to write after a term has acknowledged something gets an acknowledgement of an older term.
 *
 * A commit whose wait for its quorum was cancelled is answered with success and a WARNING (PostgreSQL's own words: it may not
 * have been replicated). A client must count it as not acknowledged, and so do we.
 */
import pg from 'pg'
import { systemClock as clock, sleep } from '../../../src/lib/clock.ts'

export interface Acknowledged {
  readonly id: number
  readonly term: number
  readonly node: string
  readonly sentAt: number
  readonly at: number
}

interface BalancerOf {
  readonly node: string
  readonly host: string
  readonly port: number
}

const EVERY_MS = 15
const CONNECT_MS = 3_000
const ANSWER_MS = 12_000
const ACCOUNT = { user: 'shop', password: 'secret', database: 'shop' }
const INSERT = `insert into ledger (id) values ($1)
  returning current_setting('understudy.term')::int as term, current_setting('cluster_name') as node`

export class Ledger {
  readonly acknowledged: Acknowledged[] = []
  /** What clients were told, with how often. */
  readonly errors = new Map<string, number>()
  /** Acknowledged rows that a reader on a primary of the same or a later term did not see. */
  readonly unseen: string[] = []
  /** Reads that an old primary answered without what a newer one had acknowledged: allowed, and worth knowing. */
  staleReads = 0
  reads = 0
  cancelled = 0
  readonly #balancers: readonly BalancerOf[]
  #nextId = 1
  #stopped = false
  #work: Promise<void>[] = []

  constructor(balancers: readonly BalancerOf[]) {
    this.#balancers = balancers
  }

  async begin(writers: number): Promise<void> {
    const client = await this.#connect(0)
    await client.query(
      `create table if not exists ledger (id bigint primary key, term int default current_setting('understudy.term')::int)`,
    )
    await client.query('create table if not exists victim (id int)')
    await client.end()
    for (let count = 0; count < writers; count += 1) this.#work.push(this.#write(count))
    this.#work.push(this.#read())
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#work)
  }

  /** The longest time without any acknowledgement that touches the span. */
  gapBetween(from: number, to: number): number {
    const first = Math.max(0, this.#firstAfter(from) - 1)
    let longest = 0
    for (let index = first; index + 1 < this.acknowledged.length; index += 1) {
      const [one, next] = [this.acknowledged[index], this.acknowledged[index + 1]]
      if (!one || !next || one.at > to) break
      longest = Math.max(longest, next.at - one.at)
    }
    return longest
  }

  async untilAcknowledged(more: number, withinMs: number): Promise<void> {
    const wanted = this.acknowledged.length + more
    const deadline = clock.mono() + withinMs
    while (this.acknowledged.length < wanted) {
      if (clock.mono() > deadline) throw new Error(`no ${more} more rows within ${withinMs} ms; told: ${this.told()}`)
      await sleep(clock, 10)
    }
  }

  told(): string {
    return [...this.errors]
      .sort((a, b) => b[1] - a[1])
      .map(([what, times]) => `${times} × ${what}`)
      .join('; ')
  }

  /** Acknowledged by an older term to a client that began after a newer one had acknowledged: there were two writers. */
  twoWriters(): string[] {
    let newest = 0
    const steps: { at: number; term: number }[] = []
    for (const { at, term } of this.acknowledged) {
      if (term <= newest) continue
      newest = term
      steps.push({ at, term })
    }
    return this.acknowledged.flatMap(({ id, sentAt, at, term, node }) => {
      const over = steps.find((step) => step.term > term && step.at < sentAt)
      return over
        ? [
            `row ${id} was acknowledged by ${node} in term ${term}, ${Math.round(at - over.at)} ms after term ${over.term} had begun to`,
          ]
        : []
    })
  }

  /** Two nodes that acknowledged in one term. */
  twoLeaders(): string[] {
    const leaders = new Map<number, string>()
    return this.acknowledged.flatMap(({ term, node, id }) => {
      const known = leaders.get(term) ?? node
      leaders.set(term, known)
      return known === node ? [] : [`row ${id} was acknowledged by ${node} in term ${term}, which ${known} led`]
    })
  }

  missingFrom(ids: ReadonlySet<number>, from = 0): Acknowledged[] {
    return this.acknowledged.slice(from).filter(({ id }) => !ids.has(id))
  }

  #firstAfter(at: number): number {
    let [low, high] = [0, this.acknowledged.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.acknowledged[middle]?.at ?? 0) < at) low = middle + 1
      else high = middle
    }
    return low
  }

  async #write(writer: number): Promise<void> {
    let client: pg.Client | undefined
    let balancer = writer
    let warned = false
    while (!this.#stopped) {
      const id = this.#nextId
      this.#nextId += 1
      try {
        if (!client) {
          client = await this.#connect(balancer)
          client.on('notice', ({ severity }) => {
            warned ||= severity === 'WARNING'
          })
        }
        warned = false
        const sentAt = clock.mono()
        const { rows } = await client.query(INSERT, [id])
        if (warned) this.cancelled += 1
        else this.acknowledged.push({ id, sentAt, at: clock.mono(), term: rows[0]?.term, node: rows[0]?.node })
      } catch (error) {
        this.#note(error)
        // Each has a door of its own and goes to another one while that admits no client: else all gather before one door.
        balancer = client ? writer : balancer + 1
        if (client) destroy(client)
        client = undefined
      }
      await sleep(clock, EVERY_MS)
    }
    if (client) destroy(client)
  }

  async #read(): Promise<void> {
    let client: pg.Client | undefined
    let balancer = 0
    while (!this.#stopped) {
      const wanted = this.acknowledged.slice(-20)
      try {
        client ??= await this.#connect(balancer)
        const { rows } = await client.query(
          `select current_setting('understudy.term')::int as term, pg_is_in_recovery() as recovery,
             array(select id::int from ledger where id = any($1::bigint[])) as ids`,
          [wanted.map(({ id }) => id)],
        )
        this.#judge(wanted, rows[0])
      } catch (error) {
        this.#note(error)
        if (client) destroy(client)
        client = undefined
        balancer += 1
      }
      await sleep(clock, EVERY_MS)
    }
    if (client) destroy(client)
  }

  #judge(wanted: readonly Acknowledged[], row: { term: number; recovery: boolean; ids: number[] }): void {
    this.reads += 1
    const there = new Set(row.ids)
    const missing = wanted.filter(({ id }) => !there.has(id))
    if (missing.some(({ term }) => term > row.term) || row.recovery) this.staleReads += missing.length > 0 ? 1 : 0
    for (const { id, term, node } of missing) {
      if (term <= row.term && !row.recovery) {
        this.unseen.push(`row ${id}, acknowledged by ${node} in term ${term}, was not seen in term ${row.term}`)
      }
    }
  }

  #note(error: unknown): void {
    const what = (error as { code?: string }).code ?? (error as Error).message
    this.errors.set(what, (this.errors.get(what) ?? 0) + 1)
  }

  async #connect(turn: number): Promise<pg.Client> {
    const balancer = this.#balancers[turn % this.#balancers.length]
    const client = new pg.Client({
      ...ACCOUNT,
      host: balancer?.host ?? '',
      port: balancer?.port ?? 0,
      connectionTimeoutMillis: CONNECT_MS,
      query_timeout: ANSWER_MS,
    })
    client.on('error', () => {}) // the call that waits for an answer rejects with it
    try {
      await client.connect()
      return client
    } catch (error) {
      destroy(client)
      throw error
    }
  }
}

/** Without a goodbye: a polite one waits for servers that do not answer. */
function destroy(client: pg.Client): void {
  ;(client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy()
}
