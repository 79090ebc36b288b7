/**
 * Real servers for tests, behind the driver as an agent holds it: node `a` makes the first copy, the others clone it. Small
 * and real: fsync on, ports that were free. Everything is ended and removed at the end, also after a failure.
 */
import { randomInt } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import type { InstanceReport, NodeName } from '../../src/core/model.ts'
import { furthest } from '../../src/core/replicated/quorum.ts'
import type { QuorumConfig } from '../../src/core/replicated/quorum-config.ts'
import type { BalancerNeeds } from '../../src/drivers/balancer-login.ts'
import { leadDurably } from '../../src/drivers/contract/replica-world.ts'
import { createPostgresDriver } from '../../src/drivers/postgres/driver.ts'
import { POSTGRES_DEFAULTS, type PostgresOptions, postgresTraits } from '../../src/drivers/postgres/options.ts'
import { BALANCER_ROLE, DATABASE } from '../../src/drivers/postgres/role-names.ts'
import { balancerPasswordOf } from '../../src/drivers/postgres/server/balancer-role.ts'
import type { PrimaryAddress, ReplicaDriver } from '../../src/drivers/replica-driver.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { until } from '../../src/lib/until.ts'
import { anyPostgres } from './engines.ts'

const HOST = '127.0.0.1'

export interface TrioOptions {
  /** `npm`: the packaged binaries; null: the first that is found. */
  readonly bin?: string | null
  readonly options?: Partial<PostgresOptions>
  readonly nodes?: readonly NodeName[]
  /** Another data folder for one node. */
  readonly data?: Readonly<Record<NodeName, string>>
}

/** Who is to lead, and who is to follow. */
export interface Choice {
  readonly leader: NodeName
  readonly other: NodeName
  readonly quorum: QuorumConfig
}

export class Trio {
  readonly root = mkdtempSync(join(tmpdir(), 'understudy-pg-'))
  readonly nodes: readonly NodeName[]
  readonly #drivers = new Map<NodeName, ReplicaDriver>()
  readonly #wanted: TrioOptions
  readonly #clients: pg.Client[] = []
  /** Where the search for a port begins is a hash of it: two runs beside each other would take each other's. */
  readonly #cluster = `test-${randomInt(1_000_000)}`

  constructor(wanted: TrioOptions = {}) {
    this.#wanted = wanted
    this.nodes = wanted.nodes ?? ['a', 'b', 'c']
    chmodSync(this.root, 0o755) // the server's account has to get in
    for (const node of this.nodes) this.#drivers.set(node, this.#open(node))
  }

  driver(node: NodeName): ReplicaDriver {
    const driver = this.#drivers.get(node)
    if (!driver) throw new Error(`no node ${node}`)
    return driver
  }

  observe(node: NodeName): InstanceReport & Required<Pick<InstanceReport, 'replica' | 'port'>> {
    const report = this.driver(node).observe()
    if (!report.replica || report.port === undefined) throw new Error(`${node} was not adopted`)
    return { ...report, replica: report.replica, port: report.port }
  }

  /** To be signalled. There is no pid of nothing: a signal to 0 ends the runner and everything with it. */
  pidOf(node: NodeName): number {
    const { pid, state } = this.observe(node)
    if (!pid) throw new Error(`nothing runs on ${node}: ${state}`)
    return pid
  }

  address(node: NodeName): PrimaryAddress {
    return { node, host: HOST, port: this.observe(node).port }
  }

  quorum(term: number, primary: NodeName, change: Partial<QuorumConfig> = {}): QuorumConfig {
    const standbys = this.nodes.filter((node) => node !== primary)
    return { term, primary, standbys, k: Math.floor(this.nodes.length / 2), id: `quorum-${term}-${primary}`, ...change }
  }

  /** The first node leads in term 1, the others stream from it, clients are admitted. */
  async begin(): Promise<void> {
    for (const node of this.nodes) await this.driver(node).adopt()
    const [first = 'a', ...rest] = this.nodes
    await this.driver(first).create(this.quorum(1, first))
    for (const node of rest) await this.driver(node).follow(this.quorum(1, first), this.address(first))
    await this.until('every copy counts', () => rest.every((node) => !this.observe(node).replica.quarantined))
    await this.until('the rule is durable', () => this.observe(first).replica.quorumDurable)
  }

  /** What the core does when `a` is gone: b and c are fenced, and the one that has more is to lead. Fenced before they stay so. */
  async choose(term: number): Promise<Choice> {
    const recruited = await Promise.all(
      ['b', 'c'].map(async (node) => {
        await this.driver(node).recruit(term)
        const { position } = this.observe(node).replica
        if (!position) throw new Error(`${node} says nothing`)
        return { node, position }
      }),
    )
    const leader = furthest(recruited)[0]?.node ?? 'b'
    return { leader, other: leader === 'b' ? 'c' : 'b', quorum: this.quorum(term, leader) }
  }

  /** And leads, and the other one follows. */
  async failOver(term: number): Promise<Choice> {
    const choice = await this.choose(term)
    await this.enact(choice.quorum, choice.other)
    return choice
  }

  /** Resolves when its primary leads durably and these follow it. */
  async enact(quorum: QuorumConfig, ...followers: readonly NodeName[]): Promise<void> {
    const primary = this.address(quorum.primary)
    await Promise.all([
      leadDurably(this.driver(quorum.primary), quorum),
      ...followers.map((node) => this.driver(node).follow(quorum, primary)),
    ])
  }

  /** For a test in which one of them has to lead: until `node` has what `other` has. `a` still runs, and gives it to it. */
  async untilAsFarAs(node: NodeName, other: NodeName): Promise<void> {
    await this.until(`${node} to have what ${other} has`, async () => {
      const wanted = await this.#logOn(other)
      return (await this.#logOn(node)) >= wanted
    })
  }

  /** A server that was killed counts as streaming for a moment more: until the primary has seen that it does not. */
  async untilMissed(node: NodeName, primary = 'a'): Promise<void> {
    const there = `select 1 from pg_stat_replication where application_name = '${node}'
      union all select 1 from pg_replication_slots where slot_name = 'understudy_${node}' and active`
    await this.until(`${primary} misses ${node}`, async () => (await this.rows(primary, there)).length === 0)
  }

  /** The agent of a node dies and a new one comes: what runs goes on running. */
  async restartAgent(node: NodeName): Promise<void> {
    await this.driver(node).close()
    this.#drivers.set(node, this.#open(node))
    await this.driver(node).adopt()
  }

  /** A session of the superuser over the server's own socket. */
  async connect(node: NodeName): Promise<pg.Client> {
    const base = join(this.root, node, 'instances', 'db')
    const client = new pg.Client({
      host: join(base, 'run'),
      port: this.observe(node).port,
      user: 'postgres',
      database: 'postgres',
    })
    client.on('error', () => {}) // a server that was killed: the call that waits for an answer rejects with it
    await client.connect()
    this.#clients.push(client)
    return client
  }

  async rows(node: NodeName, text: string): Promise<Record<string, unknown>[]> {
    const client = await this.connect(node)
    try {
      return (await client.query(text)).rows
    } finally {
      await client.end()
    }
  }

  /** What an agent would confide to its door. */
  balancerLogin(): BalancerNeeds['login'] {
    return { user: BALANCER_ROLE, password: balancerPasswordOf('db', secretFor), database: DATABASE }
  }

  until<T>(what: string, look: () => Promise<T> | T, withinMs = 30_000): Promise<NonNullable<T>> {
    return until({ clock: systemClock, everyMs: 5, withinMs, what }, look)
  }

  dataOf(node: NodeName): string {
    return this.#wanted.data?.[node] ?? join(this.root, node, 'instances', 'db', 'data')
  }

  /** What its server says. */
  logOf(node: NodeName): string {
    return join(this.root, node, 'logs', 'db.log')
  }

  async end(): Promise<void> {
    for (const client of this.#clients) void client.end().catch(() => {}) // its server may be gone
    for (const node of this.nodes) {
      await this.driver(node).kill()
      await this.driver(node).close()
    }
    rmSync(this.root, { recursive: true, force: true })
  }

  async #logOn(node: NodeName): Promise<bigint> {
    const [row] = await this.rows(
      node,
      `select case when pg_is_in_recovery() then greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
         else pg_current_wal_flush_lsn() end - '0/0'::pg_lsn as log`,
    )
    return BigInt(String(row?.log ?? 0))
  }

  #open(node: NodeName): ReplicaDriver {
    const data = this.#wanted.data?.[node] ?? null
    const options: PostgresOptions = {
      ...POSTGRES_DEFAULTS,
      bin: this.#wanted.bin ?? anyPostgres.bin ?? null,
      data,
      settings: { shared_buffers: '16MB', max_connections: 40 },
      ...this.#wanted.options,
    }
    return createPostgresDriver({
      cluster: this.#cluster,
      nodeDir: join(this.root, node),
      clock: systemClock,
      loopLagMs: () => 0,
      balancersHeard: () => true,
      balancersWentAhead: () => true,
      holdProgress: () => 'still',
      secretFor,
      node: { name: node, address: HOST, zone: node, region: 'default' },
      service: {
        name: 'db',
        kind: 'postgres',
        redundancy: 'active-passive',
        instances: this.nodes.length,
        traits: postgresTraits(),
        standby: 'warm',
        needs: [],
        nodes: [],
        endpoints: [],
        objectives: {},
        timing: {
          leaseMs: 3_000,
          graceMs: 3_000,
          settleMs: 0,
          startWithinMs: 60_000,
          unhealthyForMs: 2_000,
          probeEveryMs: 300,
          probeTimeoutMs: 1_000,
          holdMs: 20_000,
        },
        options,
      },
    })
  }
}

export function secretFor(purpose: string): string {
  return `a secret of the tests, for ${purpose}`.replaceAll(' ', '-')
}

/** Writes rows one after the other and remembers which were acknowledged: the judge of every failover. */
export class Ledger {
  readonly acknowledged: number[] = []
  #stopped = false
  #done: Promise<void> = Promise.resolve()
  #next = 1

  static async prepare(client: pg.Client): Promise<Ledger> {
    await client.query('create table if not exists ledger (id bigint primary key, at timestamptz default now())')
    return new Ledger()
  }

  /** Until the connection breaks or `stop`. */
  begin(client: pg.Client): void {
    this.#stopped = false
    const work = async () => {
      while (!this.#stopped) {
        const id = this.#next
        this.#next += 1
        await client.query('insert into ledger (id) values ($1)', [id])
        this.acknowledged.push(id)
      }
    }
    this.#done = work().catch(() => {}) // the connection broke: whatever was under way was not acknowledged
  }

  stop(): Promise<void> {
    this.#stopped = true
    return this.#done
  }

  /** Acknowledged and not there. */
  async lost(client: pg.Client): Promise<number[]> {
    const { rows } = await client.query('select id::int from ledger')
    const there = new Set(rows.map((row) => row.id as number))
    return this.acknowledged.filter((id) => !there.has(id))
  }
}
