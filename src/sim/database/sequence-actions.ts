/** What a sequence of misfortunes can do to a made-up world, and the steps of the protocol that it can wait for. */
import type { NodeName, ServiceName } from '../../core/model.ts'
import type { ServiceRecord } from '../../core/records.ts'
import type { QuorumConfig } from '../../core/replicated/quorum-config.ts'
import type { Random } from '../../lib/random.ts'
import { inject } from '../fault-injection.ts'
import type { Fault, FaultKind } from '../fault-schedule.ts'
import type { World } from '../sim-world.ts'
import type { DatabaseServer } from './database-server.ts'
import type { Milestone } from './ledger.ts'

/** What a sequence waits for. `changing`: a change of the quorum is on the record, and the server has not heard of it yet. */
type Step = 'won' | 'elected' | 'changing' | Milestone['what']

const STEPS: readonly (readonly [Step, RegExp])[] = [
  ['won', /^primary-(down|lost|unhealthy)$/],
  ['elected', /^elect$/],
  ['changing', /^standby-(added|lost)$/],
]

/** From the first fault until all of it is over. */
export const SEQUENCE_MS = 7_000

/** What a sequence can do and see. */
export class SequenceActions {
  readonly world: World
  readonly service: ServiceName
  readonly random: Random
  readonly #listeners: ((step: Step, node: NodeName) => void)[] = []
  isOver = false

  constructor(world: World, service: ServiceName, random: Random) {
    this.world = world
    this.service = service
    this.random = random
    world.onHappened(({ node, what }) => {
      if (typeof what === 'string' || what.kind !== 'done' || what.why.includes('is back on')) return
      const step = STEPS.find(([, rule]) => rule.test(what.rule))
      if (step) this.#tell(step[0], node)
    })
    world.ledgerOf(service).onMilestone(({ what, node }) => this.#tell(what, node))
  }

  get nodes(): NodeName[] {
    return this.world.cluster.nodes.map(({ name }) => name)
  }

  /** The newest config on the record. */
  get quorum(): QuorumConfig | undefined {
    const record = this.world.store.read().entries.get(`service/${this.service}`)?.value as ServiceRecord | undefined
    return record?.replica?.quorumConfigs.at(-1)
  }

  /** Once, at the next such step. */
  next(step: Step, then: (node: NodeName) => void): void {
    let done = false
    this.#listeners.push((one, node) => {
      if (done || one !== step) return
      done = true
      then(node)
    })
  }

  /** At every such step. */
  each(step: Step, then: (node: NodeName) => void): void {
    this.#listeners.push((one, node) => one === step && then(node))
  }

  after(ms: number, then: () => void): void {
    this.world.clock.after(ms, () => !this.isOver && then())
  }

  hit(
    kind: FaultKind,
    about: { readonly node?: NodeName; readonly from?: NodeName; readonly to?: NodeName },
    forMs: number,
  ) {
    const fault = { kind, service: this.service, ...about, forMs: Math.round(forMs) }
    if (!this.isOver) inject(this.world, { ...fault, atMs: Math.round(this.world.nowMs) } as Fault)
  }

  copyOn(node: NodeName): DatabaseServer | undefined {
    return this.world.node(node).databases.get(this.service)
  }

  /** It has been told whom to receive from, and has not come to that. */
  waitsForStream(node: NodeName): boolean {
    const server = this.copyOn(node)
    return server?.runs === true && server.inRecovery && server.disk.settings.receiveFrom !== null && !server.receiver
  }

  /** Ends a frozen server's sleep before its time. */
  wake(node: NodeName): void {
    const process = this.world.processOf(this.service, node)
    if (process) this.world.node(node).processes.thaw(process)
  }

  slow(some: readonly NodeName[], others: readonly NodeName[]): void {
    for (const from of some) for (const to of others) if (from !== to) this.hit('slow link', { from, to }, SEQUENCE_MS)
  }

  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.random() * items.length)] as T
  }

  shuffled(items: readonly NodeName[]): NodeName[] {
    return items
      .map((item) => [this.random(), item] as const)
      .sort(([a], [b]) => a - b)
      .map(([, item]) => item)
  }

  #tell(step: Step, node: NodeName): void {
    if (!this.isOver) for (const listener of [...this.#listeners]) listener(step, node)
  }
}
