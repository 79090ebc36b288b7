/**
 * The made-up world: START HERE. Nodes with the real agent, a network and a store, all on one virtual clock, and the verbs
 * by which things go wrong in it. One seed gives one history.
 *
 *     sim-world.ts ─▶ sim-node.ts (one server) ─▶ processes, driver, fence, and the real src/agent/loop.ts
 *        │    ─▶ network.ts, store-server.ts + store-handle.ts
 *        └───▶ truth.ts: what is so, and the invariants over it
 */
import type { EventRecord } from '../api/api-types.ts'
import { effectiveCluster } from '../core/config-record.ts'
import type { ClusterSpec, NodeName, ServiceName } from '../core/model.ts'
import { withoutSecrets } from '../core/secrets.ts'
import { type Random, seededRandom } from '../lib/random.ts'
import { VirtualClock } from '../lib/virtual-clock.ts'
import type { Write } from '../stores/store.ts'
import { ConfigTruth } from './config-truth.ts'
import { Ledger } from './database/ledger.ts'
import { writeAllTheTime } from './database/writer.ts'
import { Digest } from './digest.ts'
import { APPLY_KINDS, type ApplyKind } from './fault-schedule.ts'
import { FAIR, Network, type Weather } from './network.ts'
import { NodeClock } from './node-clock.ts'
import { SimNode } from './sim-node.ts'
import type { Process } from './sim-processes.ts'
import { STORE } from './store-handle.ts'
import { StoreServer } from './store-server.ts'
import { Truth } from './truth.ts'

export interface WorldOptions {
  readonly cluster: ClusterSpec
  readonly seed: number
  readonly weather?: Weather
  /** By how much the clocks of nodes differ in rate, at most: 0.001 is a tenth of a percent. */
  readonly drift?: number
  /** How soon a dead agent is restarted by its supervisor; null: never. */
  readonly agentBackAfterMs?: number | null
  /** Views are frozen, so that a finder that changes one throws. Default false: it changes no history and makes each seed a sixth slower. */
  readonly freezes?: boolean
}

export interface Happened {
  /** Virtual milliseconds since the world began. */
  readonly atMs: number
  readonly node: NodeName
  readonly what: EventRecord | string
}

const RELINK_MS = 60

/** A step that fails is tried again with pauses that grow: so many failures of one rule on one node in a second are a loop. */
const MOST_FAILURES_A_SECOND = 40

export class World {
  readonly cluster: ClusterSpec
  readonly clock = new VirtualClock()
  readonly random: Random
  readonly network: Network
  readonly store: StoreServer
  readonly truth: Truth
  readonly configTruth: ConfigTruth
  readonly nodes: ReadonlyMap<NodeName, SimNode>
  readonly violations: { readonly atMs: number; readonly sentence: string }[] = []
  /** Steps that agents did, by rule; what liveness and coverage are judged by. */
  readonly rules = new Map<string, number>()
  readonly roleChanges = new Map<string, number>()
  /** Faults that happened, whatever brought them about, by kind. */
  readonly faults = new Map<string, number>()
  readonly digest = new Digest()
  readonly #processListeners: ((process: Process, what: Parameters<Truth['processChanged']>[1]) => void)[] = []
  readonly #listeners: ((happened: Happened) => void)[] = []
  readonly #freezes: boolean
  readonly #agentBackAfterMs: number | null
  /** Of services that replicate: what was promised to clients. */
  readonly ledgers = new Map<ServiceName, Ledger>()
  readonly #keptDead = new Set<NodeName>()
  /** Their agents ended because a config had taken the nodes out. */
  readonly #keptOut = new Set<NodeName>()
  readonly #failures = new Map<string, { readonly sinceMs: number; count: number }>()
  stepsDone = 0
  stepsFailed = 0
  processChanges = 0
  /** Changes of the config, and wishes, that the store took. */
  applied = 0
  #version = 0
  #run = 0
  #isStopped = false

  constructor(options: WorldOptions) {
    const { seed, drift = 0 } = options
    const cluster = withoutSecrets(options.cluster)
    this.cluster = cluster
    this.#freezes = options.freezes ?? false
    this.random = seededRandom(seed)
    this.#agentBackAfterMs = options.agentBackAfterMs === undefined ? 300 : options.agentBackAfterMs
    this.network = new Network(this.clock, this.random)
    this.network.weather = options.weather ?? FAIR
    this.truth = new Truth(cluster, (sentence) => this.broken(sentence))
    this.configTruth = new ConfigTruth({
      nowMs: () => this.nowMs,
      isCalm: () => [...this.faults.keys()].every((kind) => APPLY_KINDS.includes(kind as ApplyKind)),
      running: () => [...this.nodes.values()].flatMap(({ processes }) => processes.all()),
      wanted: () => this.wanted,
      broken: (sentence) => this.broken(sentence),
    })
    const rate = () => 1 + drift * (2 * this.random() - 1)
    const storeClock = new NodeClock(this.clock, rate(), 0)
    this.store = new StoreServer({
      now: () => storeClock.mono(),
      after: (ms, fn) => this.clock.after(storeClock.toWorldMs(ms), fn),
      random: this.random,
      witness: (writes) => this.#swapped(writes),
    })
    for (const { name, traits } of cluster.services)
      if (traits.replicates) this.ledgers.set(name, new Ledger(name, (sentence) => this.broken(sentence)))
    this.nodes = new Map(cluster.nodes.map((spec) => [spec.name, this.#newNode(spec.name, rate())]))
    for (const [service, ledger] of this.ledgers) writeAllTheTime(this, service, ledger)
    this.network.onMended((from, to) => this.#relink(from, to))
  }

  get nowMs(): number {
    return this.clock.mono()
  }

  /** What the newest config asks for, with what operators asked for besides; as it was at the beginning until one is written. */
  get wanted(): ClusterSpec {
    const { config, wishes } = this.configTruth
    if (!config) return this.cluster
    return effectiveCluster({ ...config, leaving: [] }, { sizes: {}, wishes: revised(wishes) })
  }

  /** Of the present start of the cluster. */
  get run(): string {
    return `run-${this.#run}`
  }

  nextVersion(): number {
    this.#version += 1
    return this.#version
  }

  /** As `apply` does: the agents of nodes that a config names again. */
  startAddedNodes(): void {
    for (const { name } of this.wanted.nodes)
      if (this.#keptOut.delete(name) && this.node(name).isUp && !this.node(name).agent) this.startAgent(name)
  }

  #swapped(writes: readonly Write[]): void {
    this.truth.swapped(writes)
    this.configTruth.swapped(writes)
    for (const { key, value } of writes)
      if (key.startsWith('service/') && value === undefined) this.ledgers.get(key.slice('service/'.length))?.forget()
  }

  node(name: NodeName): SimNode {
    const node = this.nodes.get(name)
    if (!node) throw new Error(`there is no node ${name}`)
    return node
  }

  onProcess(listener: (process: Process, what: Parameters<Truth['processChanged']>[1]) => void): void {
    this.#processListeners.push(listener)
  }

  onHappened(listener: (happened: Happened) => void): void {
    this.#listeners.push(listener)
  }

  /** Starts every agent, as `up` does. */
  start(): void {
    this.#run += 1
    this.#isStopped = false
    for (const node of this.nodes.values()) if (!this.#keptOut.has(node.name)) this.startAgent(node.name)
  }

  /** The operator asks for the end of the whole cluster; agents that end stay ended until the next start. */
  wantStopped(): void {
    this.#isStopped = true
  }

  startAgent(name: NodeName): void {
    this.#keptDead.delete(name)
    this.node(name).startAgent()
    this.#linkAgent(name)
  }

  /** kill -9 of an agent. It is started again soon, unless it is to stay dead. */
  killAgent(name: NodeName, stayDead = false): void {
    const node = this.node(name)
    node.killAgent()
    if (stayDead) this.#keptDead.add(name)
    if (this.#agentBackAfterMs === null || stayDead) return
    this.clock.after(this.#agentBackAfterMs, () => {
      if (!this.#keptDead.has(name) && node.isUp && !node.agent) this.startAgent(name)
    })
  }

  killNode(name: NodeName): void {
    this.node(name).die()
    this.truth.forgetRoutes(name)
  }

  bootNode(name: NodeName): void {
    this.node(name).boot()
    this.#linkAgent(name)
  }

  cut(a: string, b: string, oneWay = false): void {
    this.network.cut(a, b)
    if (!oneWay) this.network.cut(b, a)
  }

  mend(a: string, b: string, oneWay = false): void {
    this.network.mend(a, b)
    if (!oneWay) this.network.mend(b, a)
  }

  /** Everything that is broken is repaired; what is dead comes back. */
  heal(): void {
    this.network.mendAll()
    this.network.weather = FAIR
    this.store.condition = 'well'
    this.store.slowMs = 0
    if (this.#isStopped) this.start()
    this.startAddedNodes()
    for (const node of this.nodes.values()) {
      if (!node.isUp) this.bootNode(node.name)
      if (!node.agent && !this.#keptOut.has(node.name)) this.startAgent(node.name)
      node.thawAgent()
      node.processes.diskFull = false
      for (const process of node.processes.all()) node.processes.thaw(process)
      for (const server of node.databases.values()) server.heal()
      for (const { name } of this.cluster.services) {
        Object.assign(node.processes.habitsOf(name), {
          unhealthy: false,
          crashAfterMs: null,
          refused: false,
          stubborn: false,
        })
        node.processes.followHabits(name)
      }
    }
  }

  ledgerOf(service: ServiceName): Ledger {
    const ledger = this.ledgers.get(service)
    if (!ledger) throw new Error(`${service} keeps no data`)
    return ledger
  }

  processOf(service: ServiceName, node: NodeName): Process | undefined {
    return this.node(node).processes.of(service)
  }

  /** The process that leads now, by the world's own truth. */
  primaryOf(service: ServiceName): Process | undefined {
    const processes = [...this.nodes.values()].flatMap((node) => node.processes.all())
    return processes
      .filter((process) => process.service === service && process.role === 'primary' && process.phase === 'open')
      .sort((a, b) => b.term - a.term)[0]
  }

  tell(node: NodeName, what: string): void {
    this.digest.add(`${this.nowMs} ${node} ${what}`)
    for (const listener of this.#listeners) listener({ atMs: this.nowMs, node, what })
  }

  #newNode(name: NodeName, rate: number): SimNode {
    const spec = this.cluster.nodes.find((node) => node.name === name)
    if (!spec) throw new Error(`there is no node ${name}`)
    return new SimNode({
      spec,
      cluster: this.cluster,
      clock: this.clock,
      random: this.random,
      rate,
      freezes: this.#freezes,
      network: this.network,
      store: this.store,
      watcher: { changed: (process, what) => this.#processChanged(process, what) },
      run: () => this.run,
      ledger: (service) => this.ledgerOf(service),
      database: (node, service) => this.nodes.get(node)?.databases.get(service),
      deliver: (to, from, message) => this.node(to).hear(from, message),
      onEvent: (node, event) => this.#eventTold(node, event),
      onTable: (table) => this.truth.routed(table, this.node(table.node).agentPid),
      onExit: (node) => this.#exited(node),
      onRoleChange: (change) => this.roleChanges.set(change, (this.roleChanges.get(change) ?? 0) + 1),
    })
  }

  /** An agent ended because the cluster was stopped; when that was of an earlier start, it is started into this one. */
  #exited(name: NodeName): void {
    const isOut = this.wanted.nodes.every((node) => node.name !== name)
    if (isOut) this.#keptOut.add(name)
    else if (this.#isStopped) this.#keptDead.add(name)
    else this.clock.after(RELINK_MS, () => this.startAgent(name))
  }

  #processChanged(process: Process, what: Parameters<Truth['processChanged']>[1]): void {
    this.processChanges += 1
    const { node, service, identity, role, term } = process
    this.digest.add(`${this.nowMs} ${node} ${service} ${identity.pid} ${role} ${term} ${what}`)
    this.truth.processChanged(process, what)
    this.configTruth.processChanged(process, what)
    for (const listener of this.#processListeners) listener(process, what)
  }

  #eventTold(node: NodeName, event: EventRecord): void {
    if (event.kind === 'done') this.stepsDone += 1
    if (event.kind === 'failed') this.#failedAgain(node, event.rule)
    if (event.rule === 'promise-broken' && event.kind === 'noticed')
      this.broken(`${node} raised an alarm: ${event.why}`)
    this.configTruth.told(node, event)
    const row = `${event.rule} ${event.kind}`
    this.rules.set(row, (this.rules.get(row) ?? 0) + 1)
    this.digest.add(`${this.nowMs} ${node} ${event.rule} ${event.kind} ${event.why}`)
    for (const listener of this.#listeners) listener({ atMs: this.nowMs, node, what: event })
  }

  #failedAgain(node: NodeName, rule: string): void {
    this.stepsFailed += 1
    const key = `${node} ${rule}`
    const known = this.#failures.get(key)
    const failures = known && this.nowMs - known.sinceMs < 1_000 ? known : { sinceMs: this.nowMs, count: 0 }
    failures.count += 1
    this.#failures.set(key, failures)
    if (failures.count === MOST_FAILURES_A_SECOND) this.broken(`${rule} on ${node} goes round and round`)
  }

  /** A promise was broken. */
  broken(sentence: string): void {
    this.violations.push({ atMs: this.nowMs, sentence })
    this.tell(STORE, `BROKEN: ${sentence}`)
  }

  #linkAgent(name: NodeName): void {
    for (const other of this.nodes.keys()) if (other !== name) this.#relink(name, other)
  }

  /** A connection between two hosts comes up a little after both ends are there, be their agents ready or not. */
  #relink(a: string, b: string): void {
    this.clock.after(RELINK_MS * this.random(), () => {
      if (!this.network.isOpen(a, b) || !this.network.isOpen(b, a)) return
      this.nodes.get(a)?.linkUp(b)
      this.nodes.get(b)?.linkUp(a)
    })
  }
}

function revised<T>(records: ReadonlyMap<string, T>): Record<string, T & { revision: number }> {
  return Object.fromEntries([...records].map(([name, record]) => [name, { ...record, revision: 0 }]))
}
