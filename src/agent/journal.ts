/**
 * What happened, in order, each with its rule and a sentence. Own events get a number and are sent to the other agents;
 * theirs are kept as they come. The last thousand are kept in memory for the API, all own ones in a file by `remember`.
 */
import type { EventRecord, Receipt } from '../api/api-types.ts'
import type { NodeName, ServiceName } from '../core/model.ts'
import type { Problem } from '../core/problems/problem.ts'
import type { Rule } from '../core/rule-names.ts'
import type { Clock } from '../lib/clock.ts'
import type { Stop } from '../lib/stop.ts'
import { type Entry, Repeats, type Told } from './repeats.ts'

export const EVENTS_KEPT = 1_000
const RECEIPTS_KEPT = 200
/** What a newcomer is told of the past. */
const RECENT_EVENTS = 200
const RECENT_RECEIPTS = 50

export class Journal {
  readonly #self: NodeName
  readonly #clock: Pick<Clock, 'wall' | 'mono'>
  readonly #tellsEach: boolean
  readonly #repeats = new Repeats()
  readonly #publish: (event: EventRecord) => void
  readonly #events: EventRecord[] = []
  readonly #known = new Set<string>()
  /** By rule and service, for as long as the agent lives. */
  readonly #last = new Map<string, EventRecord>()
  readonly #receipts: Receipt[] = []
  readonly #listeners = new Set<(event: EventRecord) => void>()
  readonly #run: string
  #count = 0
  #standing = new Map<string, Problem>()
  /** Of problems that are told only when they last: when each was first seen, by the wall clock. */
  readonly #seenSince = new Map<string, number>()

  /** `tellsEach`: also what is repeated too often. */
  constructor(
    self: NodeName,
    clock: Pick<Clock, 'wall' | 'mono'>,
    publish: (event: EventRecord) => void,
    { tellsEach = false }: { readonly tellsEach?: boolean | undefined } = {},
  ) {
    this.#self = self
    this.#clock = clock
    this.#publish = publish
    this.#tellsEach = tellsEach
    this.#run = clock.wall().toString(36) // a restarted agent never repeats an id
  }

  /** At once; what is repeated too often is counted instead, and told by `flush` when its time has come. */
  tell(entry: Entry): void {
    if (this.#tellsEach) this.#write(entry)
    else for (const told of this.#repeats.take(entry, this.#clock.mono())) this.#write(told)
  }

  /** Tells what was held back for long enough, or `all` of it because there is no later. To be called again and again. */
  flush(which: 'due' | 'all' = 'due'): void {
    for (const told of which === 'all' ? this.#repeats.rest() : this.#repeats.due(this.#clock.mono())) this.#write(told)
  }

  #write(entry: Told): void {
    this.#count += 1
    const id = `${this.#self}-${this.#run}-${this.#count}`
    const event: EventRecord = { id, at: new Date(this.#clock.wall()).toISOString(), node: this.#self, ...entry }
    this.#keep(event)
    this.#publish(event)
  }

  /** The newest that is known of a service by this rule, from any node. */
  lastOf(service: ServiceName, rule: Rule): EventRecord | undefined {
    return this.#last.get(`${rule} ${service}`)
  }

  /** An event of another agent; said twice it is kept once. */
  hear(event: EventRecord): void {
    if (!this.#known.has(event.id)) this.#keep(event)
  }

  /** What happened before this agent, or while it was not heard: inserted by time, and not sent again. */
  recall(events: readonly EventRecord[], receipts: readonly Receipt[]): void {
    const missing = events.filter(({ id }) => !this.#known.has(id))
    for (const event of missing) this.#note(event)
    if (missing.length > 0) {
      this.#events.push(...missing)
      this.#events.sort((a, b) => (a.at < b.at ? -1 : Number(a.at > b.at)))
      this.#forgetOldest()
    }
    for (const receipt of receipts) this.keepReceipt(receipt)
    this.#receipts.sort((a, b) => (a.noticedAt < b.noticedAt ? -1 : Number(a.noticedAt > b.noticedAt)))
  }

  /** What a newcomer should know. */
  recent(): { readonly events: readonly EventRecord[]; readonly receipts: readonly Receipt[] } {
    return { events: this.#events.slice(-RECENT_EVENTS), receipts: this.#receipts.slice(-RECENT_RECEIPTS) }
  }

  keepReceipt(receipt: Receipt): void {
    if (this.#receipts.some(({ id }) => id === receipt.id)) return
    this.#receipts.push(receipt)
    if (this.#receipts.length > RECEIPTS_KEPT) this.#receipts.shift()
  }

  /** Tells which problems are new and which are over, once each. `worthTelling`: not what every node sees alike. */
  compare(problems: readonly Problem[], worthTelling: (problem: Problem) => boolean): void {
    if (problems.length === 0 && this.#standing.size === 0) return
    const now = new Map(problems.map((problem) => [`${problem.rule} ${problem.service ?? ''}`, problem]))
    for (const key of this.#seenSince.keys()) if (!now.has(key)) this.#seenSince.delete(key)
    for (const [key, problem] of now) {
      const { service, rule, why } = problem
      const before = this.#standing.get(key)
      // The first sentence stands; but once there was something to do about it, its end is told by what was done.
      if (before) now.set(key, problem.steps.length === 0 || before.steps.length > 0 ? before : problem)
      else if (this.#hasStood(key, problem) && worthTelling(problem)) this.tell({ service, rule, kind: 'noticed', why })
      else now.delete(key)
    }
    for (const [key, { service, rule, why, steps }] of this.#standing) {
      // What was acted on ends with what was done; only what could merely be told must be told to be over.
      if (!now.has(key) && steps.length === 0) this.tell({ service, rule, kind: 'ended', why: `no longer so: ${why}` })
    }
    this.#standing = now
  }

  #hasStood(key: string, { tellAfterMs = 0 }: Problem): boolean {
    if (tellAfterMs === 0) return true
    const now = this.#clock.wall()
    const since = this.#seenSince.get(key) ?? now
    this.#seenSince.set(key, since)
    return now - since >= tellAfterMs
  }

  events(): readonly EventRecord[] {
    return this.#events
  }

  receipts(): readonly Receipt[] {
    return this.#receipts
  }

  onEvent(listener: (event: EventRecord) => void): Stop {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #keep(event: EventRecord): void {
    this.#events.push(event)
    this.#note(event)
    this.#forgetOldest()
    for (const listener of this.#listeners) listener(event)
  }

  #note(event: EventRecord): void {
    this.#known.add(event.id)
    const key = `${event.rule} ${event.service ?? ''}`
    if ((this.#last.get(key)?.at ?? '') <= event.at) this.#last.set(key, event)
  }

  #forgetOldest(): void {
    const tooMany = this.#events.length - EVENTS_KEPT
    if (tooMany > 0) for (const { id } of this.#events.splice(0, tooMany)) this.#known.delete(id)
  }
}
