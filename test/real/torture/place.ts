/**
 * A cluster to be tormented: one database, three nodes, each on a host of its own where the machine can make such, one of
 * them with a small disk. Everything is gone again afterwards, also when the test fails.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import type { Status } from '../../../src/api/api-types.ts'
import { type Client, connect } from '../../../src/client/index.ts'
import { compileCluster } from '../../../src/config/compile.ts'
import { defineCluster, postgres } from '../../../src/config/define.ts'
import { unwritten } from '../../../src/core/config-record.ts'
import type { ClusterSpec } from '../../../src/core/model.ts'
import { everythingOf } from '../../../src/drivers/postgres/server/postmaster.ts'
import { systemClock as clock } from '../../../src/lib/clock.ts'
import { readJson } from '../../../src/lib/files.ts'
import { identityIn } from '../../../src/lib/identity-file.ts'
import { identify, type ProcessIdentity, signal } from '../../../src/lib/proc.ts'
import { until } from '../../../src/lib/until.ts'
import { apiAddresses, StateFolder } from '../../../src/local/cluster-folder.ts'
import { LocalNode } from '../../../src/local/local-node.ts'
import { killEverything } from '../../../src/local/stop-cluster.ts'
import { serviceOf } from '../cluster.ts'
import { type Hosts, makeHosts } from './namespaces.ts'

export const NODES: readonly string[] = ['a', 'b', 'c']
/** Its disk is small, where the test may mount one. */
export const SMALL = 'a'
export const BALANCER = 5432
export const STANDBY_BALANCER = 5433
const MAIN = new URL('../../../dist/cli/main.js', import.meta.url).pathname
const SMALL_DISK_MB = 420

export interface PlaceOptions {
  /** A folder with PostgreSQL's programs, or `npm`; absent: the first that is found. */
  readonly bin?: string | null
  /** Default: a, b and c. */
  readonly nodes?: readonly string[]
  readonly degrade?: 'block' | 'run-alone'
  /** Loopback addresses and no small disk, also where more could be had. */
  readonly plain?: boolean
}

export class Place {
  readonly hosts: Hosts
  readonly nodes: readonly string[]
  readonly spec: ClusterSpec
  readonly state: StateFolder
  readonly client: Client
  /** Null: disks of their own cannot be had here. */
  readonly smallDisk: string | null
  readonly #folder: string
  readonly #nodes = new Map<string, LocalNode>()
  readonly told: string[] = []

  constructor(options: PlaceOptions = {}) {
    this.nodes = options.nodes ?? NODES
    this.hosts = makeHosts(this.nodes, options.plain)
    this.#folder = mkdtempSync(join(tmpdir(), 'understudy-torture-'))
    chmodSync(this.#folder, 0o755) // the server's account has to get in
    this.state = new StateFolder(join(this.#folder, 'state'))
    this.state.create()
    this.spec = specOf(options, this.nodes, this.hosts)
    this.smallDisk = options.plain ? null : this.#mountSmallDisk()
    const token = this.state.keepToken()
    this.state.writeCluster({ config: unwritten(this.spec, { run: 'torture' }), run: 'torture', version: 'test' })
    this.client = connect({ addresses: apiAddresses(this.spec), token })
    for (const name of this.nodes) {
      const agent = [process.execPath, MAIN, 'agent', '--node', name, '--state', this.state.path]
      const command = [...this.hosts.enter(name), ...agent]
      const tell = ({ at, node, why }: { at: string; node: string; why: string }) =>
        this.told.push(`${at} ${node} ${why}`)
      this.#nodes.set(name, new LocalNode({ name, folder: this.state.node(name), command, clock, tell }))
    }
  }

  start(): void {
    for (const node of this.#nodes.values()) node.start()
  }

  address(node: string): string {
    return this.hosts.address(node)
  }

  folder(node: string): string {
    return join(this.state.node(node), 'instances', 'db')
  }

  /** Everything of the server of a node, its postmaster first. */
  servers(node: string): ProcessIdentity[] {
    const all = everythingOf(join(this.folder(node), 'data'))
    const first = this.postmaster(node)
    return first ? [first, ...all.filter(({ pid }) => pid !== first.pid)] : all
  }

  postmaster(node: string): ProcessIdentity | undefined {
    const known = identityIn(readJson(join(this.state.node(node), 'instances', 'db.json')))
    return known && identify(known.pid)?.startTime === known.startTime ? known : undefined
  }

  agent(node: string): ProcessIdentity | undefined {
    return this.#node(node).agent
  }

  killAgent(node: string): void {
    this.#node(node).killAgent()
  }

  /** An agent that is not started again before `startNode`; what it looked after goes on. */
  killAgentForGood(node: string): void {
    const agent = this.agent(node)
    this.#node(node).letGo()
    if (agent) signal(agent, 'SIGKILL')
  }

  /** As if its plug were pulled. */
  async killNode(node: string): Promise<void> {
    const servers = this.servers(node)
    const killed = this.#node(node).kill()
    for (const one of servers) signal(one, 'SIGKILL')
    await killed
    for (const one of this.servers(node)) signal(one, 'SIGKILL')
  }

  startNode(node: string): void {
    this.#node(node).start()
  }

  status(): Promise<Status> {
    return this.client.status()
  }

  /** A session of the superuser, beside the door. */
  async session(node: string, answerWithinMs = 5_000): Promise<pg.Client> {
    const record = readJson(join(this.folder(node), 'replica.json')) as { port?: number } | undefined
    const client = new pg.Client({
      host: join(this.folder(node), 'run'),
      port: record?.port ?? 0,
      user: 'postgres',
      database: 'shop',
      connectionTimeoutMillis: 2_000,
      query_timeout: answerWithinMs,
    })
    client.on('error', () => {}) // a server that was killed: the call that waits for an answer rejects with it
    await client.connect()
    return client
  }

  /** The log moves on by more than is kept, so that what belongs to terms long past can be removed. */
  async letTimePass(): Promise<void> {
    const primary = await this.untilWhole(60_000)
    for (let segment = 0; segment < 3; segment += 1) {
      await this.ask(primary, 'create table passing (); drop table passing')
      await this.ask(primary, 'select pg_switch_wal()')
    }
    // What is not on the disk yet is written out, on a machine that may be busy with anything.
    for (const node of [primary, ...this.nodes.filter((one) => one !== primary)])
      await this.ask(node, 'checkpoint', 60_000)
  }

  async ask(node: string, text: string, answerWithinMs?: number): Promise<Record<string, unknown>[]> {
    const client = await this.session(node, answerWithinMs)
    try {
      return (await client.query(text)).rows
    } finally {
      await client.end()
    }
  }

  /** One leads, the others stream from it and are named in its `QuorumConfig`, all are healthy. Returns the primary. */
  untilWhole(withinMs: number): Promise<string> {
    let last = 'nothing was seen'
    const patience = { clock, everyMs: 50, withinMs, what: 'a whole cluster' }
    return until(patience, async () => {
      try {
        const status = await this.status()
        const { primary, instances, term } = serviceOf(status, 'db')
        last = `term ${term}, primary ${primary}; ${instances.map(({ node, role, state, healthy, note }) => `${node}: ${role} ${state} ${healthy ? 'well' : `unwell (${note})`}`).join('; ')}`
        const well = instances.filter(({ healthy, role }) => healthy && role !== 'none')
        if (!primary || well.length < this.nodes.length || !status.nodes.every(({ alive }) => alive)) return undefined
        if (well.find(({ node }) => node === primary)?.role !== 'primary') return undefined
        const [row] = await this.ask(primary, WHOLE)
        last += `; ${JSON.stringify(row)}`
        const others = this.nodes.filter((node) => node !== primary)
        const streams = String(row?.streaming).split(',')
        const whole =
          row?.recovery === false &&
          others.every((node) => streams.includes(node) && String(row.rule).includes(`"${node}"`))
        return whole ? primary : undefined
      } catch (error) {
        last = String(error)
        return undefined // the next look says more
      }
    }).catch(async (error: unknown) => {
      throw new Error(`${String(error)}\n${last}\n${await this.eventsSince(Date.now() - withinMs)}`)
    })
  }

  /** What all agents told since a moment of the wall clock, and what became of the agents. */
  async eventsSince(since: number): Promise<string> {
    const events = await this.client.events().catch(() => [])
    const lines = events.map(({ at, node, rule, kind, why }) => `${at} ${node} ${rule} ${kind} ${why}`)
    return [...lines, ...this.told]
      .filter((line) => Date.parse(line.split(' ')[0] ?? '') >= since)
      .sort()
      .join('\n')
  }

  /** Keeps what the nodes said in a folder of its own, for the search for the reason of a failure. */
  keepLogs(): string {
    const kept = mkdtempSync(join(tmpdir(), 'understudy-torture-logs-'))
    for (const node of this.nodes) {
      mkdirSync(join(kept, node))
      for (const name of ['agent.log', 'logs', 'events.jsonl', 'instances/db/replica.json']) {
        try {
          cpSync(join(this.state.node(node), name), join(kept, node, name.split('/').at(-1) ?? name), {
            recursive: true,
          })
        } catch {
          // There is none.
        }
      }
    }
    return kept
  }

  async close(): Promise<void> {
    for (const node of this.#nodes.values()) await node.kill()
    await killEverything(this.state, clock)
    for (const node of this.nodes) for (const one of this.servers(node)) signal(one, 'SIGKILL')
    await until({ clock, everyMs: 20, withinMs: 10_000, what: 'the end of all servers' }, () =>
      this.nodes.every((node) => this.servers(node).length === 0),
    )
    if (this.smallDisk) execFileSync('umount', ['-l', this.smallDisk])
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 })
    this.hosts.close()
  }

  #node(name: string): LocalNode {
    const node = this.#nodes.get(name)
    if (!node) throw new Error(`no node ${name}`)
    return node
  }

  #mountSmallDisk(): string | null {
    if (process.getuid?.() !== 0) return null
    const path = this.folder(SMALL)
    mkdirSync(path, { recursive: true, mode: 0o755 })
    const options = `size=${SMALL_DISK_MB}m,mode=0755`
    return spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path]).status === 0 ? path : null
  }
}

const WHOLE = `select pg_is_in_recovery() as recovery, current_setting('synchronous_standby_names') as rule,
  (select coalesce(string_agg(application_name, ','), '') from pg_stat_replication where state = 'streaming') as streaming`

function specOf({ bin, degrade }: PlaceOptions, nodes: readonly string[], hosts: Hosts): ClusterSpec {
  const raw = defineCluster({
    name: 'torture',
    nodes: Object.fromEntries(nodes.map((name, index) => [name, { address: `127.0.0.${11 + index}`, zone: name }])),
    services: {
      db: postgres({
        instances: nodes.length,
        listen: BALANCER,
        listenStandby: STANDBY_BALANCER,
        database: { name: 'shop', owner: 'shop', password: 'secret' },
        ...(bin ? { bin } : {}),
        ...(degrade ? { degrade } : {}),
        settings: { shared_buffers: '16MB', max_connections: 60, max_wal_size: '48MB', min_wal_size: '16MB' },
        limits: { keptLog: '32MiB', heldLog: '96MiB', freeSpace: '24MiB' },
      }),
    },
  } as Parameters<typeof defineCluster>[0])
  const { spec } = compileCluster(raw)
  // The compiler lets in this machine's addresses alone; hosts in namespaces are this machine, too.
  return { ...spec, nodes: spec.nodes.map((node) => ({ ...node, address: hosts.address(node.name) })) }
}
