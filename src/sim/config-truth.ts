/**
 * What must hold of every change of the config, by the world's own truth: what the store accepts, which instance a roll-out
 * ended, and what runs. Checked at each write; what is broken is told as a sentence.
 */
import type { EventRecord } from '../api/api-types.ts'
import type { ClusterSpec, NodeName, ServiceName, ServiceSpec } from '../core/model.ts'
import type { ConfigRecord, LeadRecord, RolloutRecord, ServiceRecord, ServiceWish } from '../core/records.ts'
import { updateOf } from '../core/rollout.ts'
import type { Write } from '../stores/store.ts'
import { flawOf, outdatedSince } from './made-up-version.ts'
import type { Process } from './sim-processes.ts'

export interface ConfigTruthParts {
  readonly nowMs: () => number
  /** Nothing but changes of the config happened until now. */
  readonly isCalm: () => boolean
  readonly running: () => readonly Process[]
  wanted(): ClusterSpec
  broken(sentence: string): void
}

/** Clocks of nodes differ in rate, and what a driver says is a little old. */
const SLACK_MS = 20
/** So long after a service was stopped every agent that is reached knows of it. */
const KNOWN_AFTER_MS = 500

export class ConfigTruth {
  readonly #parts: ConfigTruthParts
  #config: ConfigRecord | undefined
  readonly #rollouts = new Map<ServiceName, RolloutRecord>()
  readonly #records = new Map<ServiceName, ServiceRecord>()
  readonly #leads = new Map<ServiceName, LeadRecord>()
  readonly #stopped = new Map<ServiceName, number>()
  readonly wishes = new Map<ServiceName, ServiceWish>()
  /** The last process of a service on a node that ended. */
  readonly #ended = new Map<string, Process>()

  constructor(parts: ConfigTruthParts) {
    this.#parts = parts
  }

  /** The newest that was written; undefined before the first. */
  get config(): ConfigRecord | undefined {
    return this.#config
  }

  rolloutOf(service: ServiceName): RolloutRecord | undefined {
    return this.#rollouts.get(service)
  }

  swapped(writes: readonly Write[]): void {
    for (const { key, value } of writes) {
      const [kind = '', name = ''] = key.split('/')
      if (kind === 'service') put(this.#records, name, value as ServiceRecord | undefined)
      if (kind === 'lead') put(this.#leads, name, value as LeadRecord | undefined)
      if (kind === 'wish') this.#wished(name, value as ServiceWish | undefined)
      if (kind === 'rollout') this.#rolled(name, value as RolloutRecord | undefined)
      if (key === 'config') this.#configured(value as ConfigRecord)
    }
    this.#checkQuorums()
  }

  processChanged(process: Process, what: string): void {
    if (what === 'dead') this.#ended.set(`${process.service} ${process.node}`, process)
    const stoppedAt = this.#stopped.get(process.service)
    if (what !== 'open' || stoppedAt === undefined || !this.#parts.isCalm()) return
    if (this.#parts.nowMs() - stoppedAt > KNOWN_AFTER_MS)
      this.#parts.broken(`${process.service} was started on ${process.node}, although an operator had stopped it`)
  }

  /** A roll-out ends no primary where another node could lead: that one is switched over. */
  told(node: NodeName, { rule, kind, service, why }: EventRecord): void {
    if (rule !== 'instance-outdated' || kind !== 'done' || service === null || !why.includes('was stopped')) return
    const ended = this.#ended.get(`${service} ${node}`)
    const spec = this.#specOf(service)
    if (!ended || !spec || spec.instances < 2 || ended.role !== 'primary') return
    const isInPlace = spec.traits.replicates && outdatedSince(ended.spec, spec)?.needs !== 'restart'
    const leader = this.#leads.get(service)?.node ?? this.#records.get(service)?.replica?.quorumConfigs.at(-1)?.primary
    if (!isInPlace && leader === node)
      this.#parts.broken(`the primary of ${service} on ${node} was ended for a roll-out, and not switched over`)
  }

  #specOf(service: ServiceName): ServiceSpec | undefined {
    return this.#parts.wanted().services.find(({ name }) => name === service)
  }

  #wished(name: ServiceName, wish: ServiceWish | undefined): void {
    put(this.wishes, name, wish)
    if (!wish?.stopped) this.#stopped.delete(name)
    else if (!this.#stopped.has(name)) this.#stopped.set(name, this.#parts.nowMs())
  }

  #configured(record: ConfigRecord): void {
    const before = this.#config
    this.#config = record
    if (!before) return
    const isNext = record.number === before.number + 1
    const isSame = record.number === before.number && record.hash === before.hash
    if (!isNext && !isSame)
      this.#parts.broken(`config ${record.number} (${record.hash}) was written over ${before.number} (${before.hash})`)
    for (const { name } of before.removed) if (!isNamed(record, name)) this.#forgotten(name)
  }

  /** Its records go: nothing of it may run, wherever an agent is there to know. */
  #forgotten(service: ServiceName): void {
    this.#stopped.delete(service)
    if (!this.#parts.isCalm()) return
    const left = this.#parts.running().find((process) => process.service === service)
    if (left) this.#parts.broken(`the records of ${service} were deleted while it still ran on ${left.node}`)
  }

  #rolled(service: ServiceName, record: RolloutRecord | undefined): void {
    const before = this.#rollouts.get(service)
    put(this.#rollouts, service, record)
    const spec = this.#specOf(service)
    if (!record || !spec) return
    const had = before?.turns ?? []
    const taken = record.turns.filter((node) => !had.includes(node))
    const { atOnce } = updateOf(spec)
    if (taken.length > 0 && record.turns.length > atOnce)
      this.#parts.broken(`${record.turns.join(', ')} replace ${service} at a time, and ${atOnce} may`)
    if (taken.length > 0 && before?.failed && before.target === record.target)
      this.#parts.broken(`${taken.join(', ')} replaces ${service}, although the roll-out has failed`)
    if (!this.#parts.isCalm()) return
    if (record.failed && !before?.failed && flawOf(spec) === undefined)
      this.#parts.broken(`the roll-out of a version of ${service} that has no flaw stopped: ${record.failed.why}`)
    const over = had.filter((node) => !record.turns.includes(node) && record.failed?.node !== node)
    for (const node of over) this.#checkProven(spec, node)
  }

  /** A turn ends when the new instance has been healthy for long enough, and so runs for at least as long. */
  #checkProven(spec: ServiceSpec, node: NodeName): void {
    const process = this.#parts.running().find((one) => one.service === spec.name && one.node === node)
    // One that is outdated again claims nothing: its turn may be handed back, because no other node can become primary.
    const isOther = process && outdatedSince(process.spec, spec)
    if (!process || isOther || process.dying || process.phase !== 'open') return
    const ranMs = this.#parts.nowMs() - process.openedAt
    if (ranMs + SLACK_MS < updateOf(spec).pauseMs)
      this.#parts.broken(
        `the turn of ${node} for ${spec.name} ended ${Math.round(ranMs)} ms after its new instance began`,
      )
  }

  /** A node that a quorum needs is part of the cluster, if only as one that is leaving. */
  #checkQuorums(): void {
    const config = this.#config
    if (!config) return
    const known = new Set([...config.spec.nodes, ...config.leaving].map(({ name }) => name))
    for (const [service, { replica }] of this.#records) {
      const named = (replica?.quorumConfigs ?? []).flatMap(({ primary, standbys }) => [primary, ...standbys])
      const gone = named.find((node) => !known.has(node))
      if (gone !== undefined) this.#parts.broken(`${gone} is in a quorum of ${service} and no longer in the cluster`)
    }
  }
}

function isNamed({ spec, removed }: ConfigRecord, service: ServiceName): boolean {
  return [...spec.services, ...removed].some(({ name }) => name === service)
}

function put<T>(map: Map<string, T>, key: string, value: T | undefined): void {
  if (value === undefined) map.delete(key)
  else map.set(key, value)
}
