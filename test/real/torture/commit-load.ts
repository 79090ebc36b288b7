/**
 * A steady load of commits, as lib/steady-load.ts is one of requests: so many a second at the endpoints of all nodes in turn,
 * each at its moment, over sessions that stay open. Every commit is one statement outside of any transaction, and its wait
 * counts from the moment at which it was due. What was acknowledged is kept, to be looked for afterwards.
 */
import pg from 'pg'
import { systemClock as clock } from '../../../src/lib/clock.ts'
import { superviseLoop } from '../../../src/lib/supervised-loop.ts'

export interface CommitPlan {
  readonly hosts: readonly string[]
  readonly port: number
  readonly account: { readonly user: string; readonly password: string; readonly database: string }
  readonly perSecond: number
}

export interface Commit {
  readonly id: number
  /** When it was due, on the clock of `performance.now()`. */
  readonly dueAt: number
  readonly tookMs: number
}

export interface CommitLoad {
  readonly acknowledged: readonly Commit[]
  /** A sentence for each statement and each connection that failed. */
  readonly failures: readonly string[]
  /** No further commits; resolves when the last one is answered. */
  stop(): Promise<void>
}

const SESSIONS_AT_EACH = 4
/** Longer than any pause that is not an outage. */
const ANSWER_MS = 15_000

/** Makes the table, opens the sessions and begins. */
export async function startCommits(plan: CommitPlan): Promise<CommitLoad> {
  const load = new Commits(plan)
  await load.begin()
  return load
}

/** The ids of all rows that this server has. */
export async function idsOf(client: pg.Client): Promise<Set<number>> {
  const { rows } = await client.query('select id::int from commits')
  return new Set(rows.map(({ id }) => id as number))
}

class Commits implements CommitLoad {
  readonly acknowledged: Commit[] = []
  readonly failures: string[] = []
  readonly #plan: CommitPlan
  #sessions: Session[] = []
  #stop = () => {}

  constructor(plan: CommitPlan) {
    this.#plan = plan
  }

  async begin(): Promise<void> {
    const { hosts, port, account, perSecond } = this.#plan
    const places = Array.from({ length: SESSIONS_AT_EACH }, () => hosts).flat()
    this.#sessions = places.map((host) => new Session({ ...account, host, port }))
    await this.#sessions[0]?.ask('create table if not exists commits (id bigint primary key)')
    const gapMs = 1_000 / perSecond
    const began = performance.now()
    let sent = 0
    const work = () => {
      for (const due = Math.floor((performance.now() - began) / gapMs); sent <= due; sent++)
        void this.#commit(sent, began + sent * gapMs)
    }
    const loop = superviseLoop({ clock, what: 'committing', everyMs: 1, work })
    this.#stop = () => loop.stop()
  }

  async stop(): Promise<void> {
    this.#stop()
    await Promise.all(this.#sessions.map((session) => session.close()))
  }

  /** Never rejects. */
  async #commit(id: number, dueAt: number): Promise<void> {
    const session = this.#sessions[id % this.#sessions.length]
    try {
      await session?.ask('insert into commits (id) values ($1)', [id])
      this.acknowledged.push({ id, dueAt, tookMs: performance.now() - dueAt })
    } catch (error) {
      const { code = '', message } = error as { code?: string; message: string }
      const at = new Date().toISOString()
      this.failures.push(`${at} commit ${id} at ${session?.host} failed: ${code} ${message}`)
    }
  }
}

/** One session, opened when it is needed and again after it broke; its statements go one after the other. */
class Session {
  readonly host: string
  readonly #options: pg.ClientConfig & { readonly host: string }
  #client: pg.Client | undefined
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: pg.ClientConfig & { readonly host: string }) {
    this.#options = options
    this.host = options.host
  }

  ask(text: string, values: readonly unknown[] = []): Promise<unknown> {
    const answer = this.#last.then(() => this.#askNow(text, values))
    this.#last = answer.catch(() => {}) // told to the one who asked
    return answer
  }

  async close(): Promise<void> {
    await this.#last
    await this.#client?.end()
  }

  async #askNow(text: string, values: readonly unknown[]): Promise<unknown> {
    const client = this.#client ?? (await this.#open())
    try {
      return await client.query(text, [...values])
    } catch (error) {
      this.#client = undefined
      client.end().catch(() => {}) // it is broken, and another one is opened
      throw error
    }
  }

  async #open(): Promise<pg.Client> {
    const client = new pg.Client({ ...this.#options, connectionTimeoutMillis: ANSWER_MS, query_timeout: ANSWER_MS })
    client.on('error', () => {}) // the next statement hears of it
    await client.connect()
    this.#client = client
    return client
  }
}
