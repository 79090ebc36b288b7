/**
 * One simulated server: clocks, processes, a disk for the drivers' books, a fence, a balancer that keeps its last
 * table, and the REAL agent, which can be killed, frozen and restarted while all else goes on.
 */

import type { Mesh, Message } from '../agent/agent-ports.ts'
import { AgentSurface } from '../agent/agent-surface.ts'
import { DriverSet } from '../agent/driver-set.ts'
import { Agent } from '../agent/loop.ts'
import type { EventRecord } from '../api/api-types.ts'
import { effectiveCluster, unwritten } from '../core/config-record.ts'
import type { ClusterSpec, NodeName, NodeSpec, ServiceName, ServiceSpec } from '../core/model.ts'
import { PROTOCOL } from '../core/protocol.ts'
import type { ConfigRecord } from '../core/records.ts'
import type { RoutingTable } from '../core/routing-table.ts'
import type { Driver } from '../drivers/driver.ts'
import { inBackground } from '../lib/background.ts'
import type { Clock } from '../lib/clock.ts'
import type { Random } from '../lib/random.ts'
import { DatabaseDriver } from './database/database-driver.ts'
import { DatabaseServer } from './database/database-server.ts'
import { newDisk } from './database/disk.ts'
import type { Ledger } from './database/ledger.ts'
import { SimFence } from './fence-model.ts'
import { Gate } from './gate.ts'
import type { Network } from './network.ts'
import { NodeClock } from './node-clock.ts'
import { counted } from './role-changes.ts'
import { type Books, newBooks, SimDriver } from './sim-driver.ts'
import { Processes, type Watcher } from './sim-processes.ts'
import { StoreHandle } from './store-handle.ts'
import type { StoreServer } from './store-server.ts'

export interface NodeParts {
  readonly spec: NodeSpec
  readonly cluster: ClusterSpec
  readonly clock: Clock
  readonly random: Random
  readonly rate: number
  readonly freezes: boolean
  readonly network: Network
  readonly store: StoreServer
  readonly watcher: Watcher
  run(): string
  ledger(service: ServiceName): Ledger
  database(node: NodeName, service: ServiceName): DatabaseServer | undefined
  deliver(to: NodeName, from: NodeName, message: Message): void
  onEvent(node: NodeName, event: EventRecord): void
  onTable(table: RoutingTable): void
  onExit(node: NodeName): void
  onRoleChange(change: string): void
}

interface Running {
  readonly gate: Gate
  readonly agent: Agent
  readonly surface: AgentSurface
  readonly store: StoreHandle
  readonly mesh: SimMesh
  readonly drivers: ReadonlySet<SimDriver | DatabaseDriver>
}

const ADOPT_MS = 20
/** As few as a real node ever has, so that starts do wait for one another here. */
const STARTS_AT_ONCE = 2
const LATE_MS = 1
/** Made-up nodes have no balancers that could fail to listen. */
const NO_BALANCER = {
  open: undefined,
  leaving: [],
  holding: [],
  still: [],
  ready: [],
  ahead: [],
  sessions: [],
  leadsTo: () => true,
}

export class SimNode {
  readonly name: NodeName
  readonly processes: Processes
  readonly clock: NodeClock
  fence: SimFence
  readonly #parts: NodeParts
  readonly #books = new Map<ServiceName, Books>()
  readonly databases = new Map<ServiceName, DatabaseServer>()
  #power: Gate
  #running: Running | null = null
  #agentPid = 10
  /** On its disk. */
  #config: ConfigRecord

  constructor(parts: NodeParts) {
    this.#parts = parts
    this.name = parts.spec.name
    this.#config = unwritten(parts.cluster, { run: parts.run() })
    this.clock = new NodeClock(parts.clock, parts.rate, Math.floor(parts.random() * 1e6))
    this.processes = new Processes({
      node: this.name,
      clock: parts.clock,
      random: parts.random,
      watcher: parts.watcher,
    })
    this.#power = new Gate(parts.clock)
    for (const { name, traits } of parts.cluster.services)
      if (traits.replicates) this.databases.set(name, this.#newDatabase(name))
    this.fence = this.#newFence()
  }

  get isUp(): boolean {
    return this.#power.state === 'running'
  }

  get agent(): Agent | null {
    return this.#running?.agent ?? null
  }

  get surface(): AgentSurface | null {
    return this.#running?.gate.state === 'running' ? this.#running.surface : null
  }

  /** What an operator uses here: the agent's own way to the store. */
  get operator(): Pick<Running, 'agent' | 'store'> | null {
    return this.#running?.gate.state === 'running' ? this.#running : null
  }

  get agentPid(): number {
    return this.#agentPid
  }

  get agentState(): 'running' | 'frozen' | 'dead' {
    return this.#running?.gate.state ?? 'dead'
  }

  startAgent(): void {
    if (this.#running || !this.isUp) return
    const { clock, random, network, store, spec } = this.#parts
    const gate = new Gate(clock)
    const own = this.clock.through(gate, () => LATE_MS * random())
    const handle = new StoreHandle({ node: this.name, server: store, network, gate, clock })
    const run = this.#parts.run()
    const config = this.#config.run === run ? this.#config : unwritten(this.#config.spec, { run })
    const { nodes, services } = effectiveCluster(config, { sizes: {}, wishes: {} })
    const mesh = new SimMesh(this.name, nodes, network, gate, this.#parts.deliver)
    const made = new Set<SimDriver | DatabaseDriver>()
    const create = (service: ServiceSpec): Driver => {
      const driver = this.#driverOf(service, gate, own)
      made.add(driver)
      return counted<Driver>(driver, this.#parts.onRoleChange)
    }
    const drivers = new DriverSet({ create, notAdopted: () => undefined })
    this.#agentPid += 1
    const pids = { agent: this.#agentPid, balancer: 1, fence: 2 }
    const agent = new Agent({
      config,
      self: spec.name,
      run,
      tellsEach: true,
      freezes: this.#parts.freezes,
      startsAtOnce: () => STARTS_AT_ONCE,
      world: {
        clock: own,
        store: handle,
        mesh,
        drivers,
        fence: this.fence.portFor(gate),
        balancer: { ...NO_BALANCER, publish: (table) => this.#parts.onTable(table) },
        keepConfig: (record) => {
          this.#config = record
        },
        remember: (what, record) => what === 'events' && this.#parts.onEvent(this.name, record as EventRecord),
        pids: () => pids,
      },
      onExit: () => gate.deliver(() => this.#exit()),
    })
    const surface = new AgentSurface({
      agent,
      store: handle,
      run,
      version: '0.0.0',
      secretsKeyFile: '/nowhere/secrets.key', // no scenario sets a secret
      ...{ pids: () => pids, versions: () => ({ protocol: PROTOCOL }), balancer: { open: [], counters: [] } },
    })
    this.#running = { gate, agent, surface, store: handle, mesh, drivers: made }
    this.fence.agentStarted()
    const start = () => drivers.begin([...services, ...config.removed]).then(() => agent.start())
    gate.after(ADOPT_MS * (0.5 + random()), () => inBackground(start(), 'the start of an agent'))
  }

  /** kill -9. Whatever runs here goes on running. */
  killAgent(): void {
    const running = this.#running
    this.#running = null
    running?.gate.kill()
    running?.store.letGo()
    for (const driver of running?.drivers ?? []) driver.letGo()
    this.fence.agentDied()
  }

  freezeAgent(): void {
    this.#running?.gate.freeze()
  }

  thawAgent(): void {
    this.#running?.gate.thaw()
  }

  /** Power off: agent, fence, balancer and processes at once. */
  die(): void {
    if (!this.isUp) return
    this.killAgent()
    this.#power.kill()
    this.processes.powerOff()
  }

  /** Power on: the disk is as it was, nothing runs but the agent. */
  boot(): void {
    if (this.isUp) return
    this.#power = new Gate(this.#parts.clock)
    this.fence = this.#newFence()
    for (const [service, books] of this.#books) this.#books.set(service, newBooks(books.port)) // of another boot
    this.startAgent()
  }

  hear(from: NodeName, message: Message): void {
    this.#running?.mesh.hear(from, message)
  }

  linkUp(peer: NodeName): void {
    this.#running?.mesh.linkUp(peer)
  }

  #exit(): void {
    inBackground(this.#running?.agent.stop(), 'the end of an agent')
    this.killAgent()
    this.#parts.onExit(this.name)
  }

  #driverOf(service: ServiceSpec, gate: Gate, clock: Clock): SimDriver | DatabaseDriver {
    const { random } = this.#parts
    const books = this.#booksOf(service.name)
    if (!service.traits.replicates)
      return new SimDriver({ service, processes: this.processes, books, gate, clock, random })
    return new DatabaseDriver({
      service,
      server: this.#databaseOf(service.name),
      port: books.port,
      gate,
      clock,
      random,
      setAside: () => this.databases.set(service.name, this.#newDatabase(service.name)),
    })
  }

  #databaseOf(service: ServiceName): DatabaseServer {
    const server = this.databases.get(service) ?? this.#newDatabase(service)
    this.databases.set(service, server)
    return server
  }

  #booksOf(service: ServiceName): Books {
    const known = this.#books.get(service)
    if (known) return known
    const books = newBooks(20_000 + this.#books.size)
    this.#books.set(service, books)
    return books
  }

  #newDatabase(service: ServiceName): DatabaseServer {
    const { clock, random, network, ledger, database } = this.#parts
    return new DatabaseServer({
      service,
      node: this.name,
      disk: newDisk(),
      clock,
      random,
      network,
      processes: this.processes,
      ledger: ledger(service),
      peer: (node) => database(node, service),
    })
  }

  #newFence(): SimFence {
    const power = this.#power
    const { random } = this.#parts
    return new SimFence({
      clock: this.clock,
      world: { after: (ms, fn) => power.after(ms, fn) },
      processes: this.processes,
      random,
      gate: () => power,
      agentLives: () => this.#running !== null,
    })
  }
}

/** Messages go to every other node's agent, or are lost. */
class SimMesh implements Mesh {
  readonly #self: NodeName
  #others: readonly NodeName[]
  readonly #network: Network
  readonly #gate: Gate
  readonly #deliver: NodeParts['deliver']
  readonly #listeners = new Set<(from: NodeName, message: Message) => void>()
  readonly #linkListeners = new Set<(peer: NodeName) => void>()

  constructor(self: NodeName, nodes: readonly NodeSpec[], network: Network, gate: Gate, deliver: NodeParts['deliver']) {
    this.#self = self
    this.#others = nodes.map(({ name }) => name).filter((name) => name !== self)
    this.#network = network
    this.#gate = gate
    this.#deliver = deliver
  }

  meet(peers: readonly NodeSpec[]): void {
    this.#others = peers.map(({ name }) => name)
  }

  broadcast(message: Message): void {
    for (const other of this.#others)
      this.#network.send(this.#self, other, () => this.#deliver(other, this.#self, message))
  }

  onMessage(listener: (from: NodeName, message: Message) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  onLink(listener: (peer: NodeName) => void): () => void {
    this.#linkListeners.add(listener)
    return () => void this.#linkListeners.delete(listener)
  }

  hear(from: NodeName, message: Message): void {
    this.#gate.deliver(() => {
      for (const listener of this.#listeners) listener(from, message)
    })
  }

  linkUp(peer: NodeName): void {
    this.#gate.deliver(() => {
      for (const listener of this.#linkListeners) listener(peer)
    })
  }
}
