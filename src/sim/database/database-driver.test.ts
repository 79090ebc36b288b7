/** The model of a database keeps the contract that PostgreSQL keeps (test/real/postgres-contract.test.ts). */
import { describe, it } from 'vitest'
import { during, passUntil, throughGate } from '../../../test/support/virtual-time.ts'
import type { QuorumConfig } from '../../core/replicated/quorum-config.ts'
import { REPLICA_CONTRACT, type ReplicaWorld, type Write } from '../../drivers/contract/replica-contract.ts'
import { seededRandom } from '../../lib/random.ts'
import { VirtualClock } from '../../lib/virtual-clock.ts'
import { Gate } from '../gate.ts'
import { madeUpCluster } from '../made-up-cluster.ts'
import { Network } from '../network.ts'
import { Processes } from '../sim-processes.ts'
import { DatabaseDriver } from './database-driver.ts'
import { DatabaseServer } from './database-server.ts'
import { newDisk } from './disk.ts'
import { Ledger } from './ledger.ts'
import type { Entry } from './wal-model.ts'

const NODES = ['a', 'b', 'c']
const WITHIN_MS = 30_000

/** The model's servers without agents, on a clock that runs for as long as a test waits. */
class ModelWorld implements ReplicaWorld {
  readonly #clock = new VirtualClock()
  readonly #random
  readonly #network: Network
  readonly #servers = new Map<string, DatabaseServer>()
  readonly #agents = new Map<string, { gate: Gate; driver: DatabaseDriver }>()
  readonly #entries = new Map<number, Entry>()
  readonly broken: string[] = []

  constructor(seed: number) {
    this.#random = seededRandom(seed)
    this.#network = new Network(this.#clock, this.#random)
    const ledger = new Ledger('db', (sentence) => this.broken.push(sentence))
    for (const node of NODES) {
      const parts = { node, clock: this.#clock, random: this.#random }
      const processes = new Processes({ ...parts, watcher: { changed: () => undefined } })
      const peer = (other: string) => this.#servers.get(other)
      const server = { ...parts, service: 'db', disk: newDisk(), network: this.#network, processes, ledger, peer }
      this.#servers.set(node, new DatabaseServer(server))
    }
  }

  async begin(): Promise<void> {
    for (const node of NODES) await this.newAgent(node)
  }

  during(work: Promise<void>): Promise<void> {
    return during(this.#clock, work, 10 * 60_000)
  }

  driver(node: string): DatabaseDriver {
    const agent = this.#agents.get(node)
    if (!agent) throw new Error(`no agent on ${node}`)
    return agent.driver
  }

  address(node: string) {
    return { node, host: '127.0.0.1', port: 5432 }
  }

  async newAgent(node: string): Promise<void> {
    this.#agents.get(node)?.gate.kill()
    this.#agents.get(node)?.driver.letGo()
    const gate = new Gate(this.#clock)
    const clock = throughGate(this.#clock, gate)
    const [service] = madeUpCluster(
      NODES.map((name) => ({ name, zone: name })),
      [{ name: 'db', kind: 'database', redundancy: 'active-passive', instances: 3, standby: 'warm' }],
    ).services
    if (!service) throw new Error('no service')
    const server = this.#server(node)
    const driver = new DatabaseDriver({
      service,
      server,
      port: 5432,
      gate,
      clock,
      random: this.#random,
      setAside: () => undefined,
    })
    this.#agents.set(node, { gate, driver })
    await driver.adopt()
  }

  async write(node: string): Promise<Write> {
    const write = { id: this.#entries.size + 1, acknowledged: false }
    const server = this.#server(node)
    const row = server.disk.record.leading as QuorumConfig
    server.writeQuorumRow(row, (how) => {
      write.acknowledged = how === 'acknowledged'
    })
    const entry = server.disk.log.at(-1)
    if (entry) this.#entries.set(write.id, entry)
    return write
  }

  async holds(node: string, { id }: Write): Promise<boolean> {
    const entry = this.#entries.get(id)
    return entry !== undefined && this.#server(node).disk.log[entry.index] === entry
  }

  async harm(node: string, how: 'end' | 'freeze' | 'pause'): Promise<void> {
    const server = this.#server(node)
    const { process } = server
    if (how === 'pause') server.replay.pause()
    else if (process && how === 'end') server.parts.processes.kill(process)
    else if (process) server.parts.processes.freeze(process)
  }

  passUntil(done: () => boolean, withinMs = WITHIN_MS): Promise<boolean> {
    return passUntil(this.#clock, done, withinMs)
  }

  #server(node: string): DatabaseServer {
    const server = this.#servers.get(node)
    if (!server) throw new Error(`no node ${node}`)
    return server
  }
}

describe('the made-up database keeps the contract of copies', () => {
  for (const { name, run } of REPLICA_CONTRACT) {
    it(name, async () => {
      for (let seed = 1; seed <= 10; seed += 1) {
        const world = new ModelWorld(seed)
        await world.during(
          (async () => {
            await world.begin()
            await run(world)
          })(),
        )
        if (world.broken.length > 0) throw new Error(world.broken.join('; '))
      }
    })
  }
})
