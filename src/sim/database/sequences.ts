/**
 * Misfortunes that come one after the other, each at a step of the protocol: what one fault alone, or several at random
 * moments, hardly ever bring about. All of them happen to real clusters: what killed the first primary kills its successor,
 * the racks of a room lose their power one by one, the source of a rewind dies before the copy is whole. Each is the only
 * made-up disaster in which some check of the protocol is of any use (test/mutants/database.ts names the checks).
 */
import type { NodeName, ServiceName } from '../../core/model.ts'
import type { ServiceRecord } from '../../core/records.ts'
import type { Rule } from '../../core/replica.ts'
import type { Random } from '../../lib/random.ts'
import type { Fault, FaultKind } from '../faults.ts'
import { inject } from '../inject.ts'
import type { World } from '../world.ts'
import type { Milestone } from './ledger.ts'

/** What a sequence waits for. `changing`: a change of the rule is on the record, and the server has not heard of it yet. */
type Step = 'won' | 'elected' | 'changing' | Milestone['what']

const STEPS: readonly (readonly [Step, RegExp])[] = [
  ['won', /^primary-(down|lost|unwell)$/],
  ['elected', /^elect$/],
  ['changing', /^standby-(added|lost)$/],
]

const BEGINS_AFTER_MS = 900
const BEGINS_WITHIN_MS = 2_000
/** From the first fault until all of it is over. */
const SEQUENCE_MS = 7_000

/** What a sequence can do and see. */
class Site {
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

  /** The newest rule on the record. */
  get rule(): Rule | undefined {
    const record = this.world.store.read().entries.get(`service/${this.service}`)?.value as ServiceRecord | undefined
    return record?.replica?.rules.at(-1)
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

/**
 * What killed the first primary kills its successor as soon as that lets people in, while a copy that the new rule can do
 * without is far away: what that one knows of the others is how things were before. Where the disk is full, the successor
 * cannot even be started to say how far it was.
 */
function successorDies(site: Site): void {
  const { random } = site
  site.hit('kill primary', {}, 0)
  site.next('elected', () => {
    const { rule } = site
    const others = site.nodes.filter((node) => node !== rule?.primary)
    const spare = others.filter((node) => !rule?.members.includes(node))
    site.slow([site.pick(spare.length > 0 ? spare : others)], site.nodes)
    site.next('opened', (node) => {
      site.after(20 + 80 * random(), () => site.hit(random() < 0.7 ? 'fill disk' : 'kill primary', { node }, 3_000))
    })
  })
}

/** The nearer half of the cluster dies node by node, each at a step that was about to make good for the one before. */
function halfDies(site: Site): void {
  const first = site.rule?.primary
  const others = site.shuffled(site.nodes.filter((node) => node !== first))
  const near = [...(first === undefined ? [] : [first]), ...others.slice(0, Math.floor(others.length / 2))]
  const far = others.slice(Math.floor(others.length / 2))
  site.slow(near, far)
  const doomed = new Set(near)
  const kill = (node: NodeName | undefined) => {
    if (node === undefined || !doomed.delete(node)) return
    site.hit('kill node', { node }, 2_500 + 2_000 * site.random())
  }
  const begins = site.random() < 0.5
  const withinMs = begins ? 300 : 30
  site.after(300, () => {
    if (begins) kill(first)
    else site.hit('kill primary', {}, 0)
    site.each('changing', () => site.after(withinMs * site.random(), () => kill(site.rule?.primary)))
    site.each('elected', () => site.after(20 * site.random(), () => kill(site.rule?.primary)))
    site.each('won', () => site.after(3 * site.random(), () => kill([...doomed][0])))
  })
}

/**
 * A primary that was cut off is rewound under a successor that nobody else hears a word from, and that one dies before the
 * rewound copy has all that its pages came from.
 */
function sourceDies(site: Site): void {
  const { random } = site
  const old = site.rule?.primary
  if (old === undefined) return
  site.hit('cut off', { node: old }, 1_200 + 800 * random())
  site.next('elected', () => {
    const source = site.rule?.primary
    if (source === undefined) return
    for (const node of site.nodes)
      if (node !== old && node !== source) site.hit('cut one way', { from: node, to: source }, SEQUENCE_MS)
    site.next('rewound', () => {
      const kind = random() < 0.7 ? 'kill node' : 'kill primary'
      site.after(40 * random(), () => site.hit(kind, { node: source }, 3_000))
    })
  })
}

const SEQUENCES = [successorDies, halfDies, sourceDies] as const

export interface Sequence {
  /** How many faults may happen beside it: those that were drawn first. */
  readonly otherFaults: number
  /** When all of it is over, counted from the start of the world. */
  readonly overMs: number
  /** Returns what ends it. */
  begin(world: World): () => void
}

/** For a part of all worlds; undefined for the others. */
export function drawSequence(random: Random): Sequence | undefined {
  if (random() < 0.5) return undefined
  const sequence = SEQUENCES[Math.floor(random() * SEQUENCES.length)] ?? successorDies
  const otherFaults = Math.floor(3 * random() * random())
  const beginMs = BEGINS_AFTER_MS + BEGINS_WITHIN_MS * random()
  const begin = (world: World) => {
    const [service] = [...world.ledgers.keys()]
    if (service === undefined) return () => undefined
    const site = new Site(world, service, random)
    site.after(beginMs, () => sequence(site))
    return () => {
      site.isOver = true
    }
  }
  return { otherFaults, overMs: Math.round(beginMs + SEQUENCE_MS), begin }
}
