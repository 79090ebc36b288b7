/**
 * The driver of a made-up database: keeps the contract of the port as the driver of PostgreSQL does, on server.ts. What it
 * knows comes from looks that are some milliseconds old; what must outlive the agent is in the record on the node's disk.
 */
import type { InstanceReport, Term } from '../../core/model.ts'
import { sameRule } from '../../core/quorum.ts'
import type { Position, Rule } from '../../core/replica.ts'
import type { StartRequest } from '../../drivers/driver.ts'
import type { PrimaryAddress, ReplicaDriver } from '../../drivers/replica.ts'
import { restartWaitMs } from '../../drivers/restart.ts'
import { UnderstudyError } from '../../errors.ts'
import type { Stop } from '../../lib/stop.ts'
import { mayReceive } from './disk.ts'
import { fence, leadsStill, pledge } from './fence.ts'
import { follow } from './follow.ts'
import { changeRule, create, lead } from './lead.ts'
import type { DatabaseDriverParts } from './parts.ts'
import { feelingOf, reportOf, type Sight, sightOf } from './report.ts'
import { refusal, Verb } from './verbs.ts'

const LOOK_EVERY_MS = 100
const NOTICE_MS = 15
const MARK_WITHIN_MS = 1_000
const DEMOTE_WITHIN_MS = 400
const FORGIVEN_AFTER_MS = 2_000

export class DatabaseDriver implements ReplicaDriver {
  readonly #parts: DatabaseDriverParts
  readonly #listeners = new Set<() => void>()
  #verb: Verb | null = null
  #state: InstanceReport['state'] = 'stopped'
  #stateSince: number
  #health: InstanceReport['health'] = 'unknown'
  #healthSince: number
  #note = ''
  #failures = 0
  #retryAt = 0
  #sight: Sight | null = null
  /** Undefined: not fenced. Null: fenced, without data. */
  #fenced: Position | null | undefined
  /** The newest rule whose row is on its quorum. */
  #durable: Rule | null = null
  #marking: Rule | null = null
  #asked = false
  #told = ''
  #unwatch: Stop = () => undefined

  constructor(parts: DatabaseDriverParts) {
    this.#parts = parts
    this.#stateSince = parts.clock.mono()
    this.#healthSince = this.#stateSince
  }

  observe(): InstanceReport {
    const { clock, server, service, port } = this.#parts
    const now = clock.mono()
    return reportOf(service.name, server, {
      state: this.#state,
      stateForMs: now - this.#stateSince,
      health: this.#health,
      healthForMs: now - this.#healthSince,
      note: this.#note,
      failures: this.#failures,
      retryInMs: Math.max(0, this.#retryAt - now),
      port,
      sight: this.#sight,
      fenced: this.#fenced,
      durable: this.#durable,
    })
  }

  create(rule: Rule): Promise<void> {
    return this.#do('starting', async (verb) => {
      await create(verb, rule)
      this.#mark(rule)
    })
  }

  start({ role, term }: StartRequest): Promise<void> {
    return this.#do('starting', async (verb) => {
      const { leading, pledged } = verb.record
      if (role !== 'primary') {
        if (leading !== null) throw refusal(`it led in term ${leading.term}`)
        return verb.launch()
      }
      if (leading?.term !== term || pledged > term) throw refusal(`it was not the primary of term ${term}`)
      await lead(verb, leading)
      await this.#marked(verb, leading)
    })
  }

  promote(term: Term): Promise<void> {
    return Promise.reject(refusal(`a replicated service is promoted by a rule: fence(${term}), then lead(rule)`))
  }

  follow(rule: Rule, { node }: PrimaryAddress): Promise<void> {
    return this.#do('starting', async (verb) => {
      if (node === this.#parts.server.parts.node) throw refusal('nobody follows itself')
      this.#fenced = undefined
      this.#marking = null
      await follow(verb, rule)
    })
  }

  fence(term: Term): Promise<void> {
    return this.#do('starting', async (verb) => {
      this.#fenced = undefined
      this.#marking = null
      this.#fenced = await fence(verb, term)
    })
  }

  lead(rule: Rule): Promise<void> {
    return this.#do('starting', async (verb) => {
      await lead(verb, rule)
      this.#fenced = undefined
      await this.#marked(verb, rule)
    })
  }

  changeRule(rule: Rule): Promise<void> {
    return this.#do('starting', async (verb) => {
      await changeRule(verb, rule)
      await this.#marked(verb, rule)
    })
  }

  demote(term: Term): Promise<void> {
    return this.#do('stopping', async (verb) => {
      this.#marking = null
      this.#asked = true
      this.#fenced = undefined
      const led = pledge(verb, term)
      if (led || leadsStill(verb)) await verb.end('fast', DEMOTE_WITHIN_MS)
    })
  }

  stop({ graceMs }: { readonly settleMs: number; readonly graceMs: number }): Promise<void> {
    return this.#do('stopping', async (verb) => {
      this.#marking = null
      this.#asked = true
      await verb.end('fast', graceMs / 10)
    })
  }

  kill(): Promise<void> {
    return this.#do('stopping', async (verb) => {
      this.#marking = null
      this.#asked = true
      await verb.end('immediate', 0)
    })
  }

  async adopt(): Promise<void> {
    const { server, gate } = this.#parts
    this.#unwatch = server.onChange(() => gate.after(NOTICE_MS * this.#parts.random(), () => this.#look()))
    this.#look()
    this.#lookOn()
    if (!server.runs) return
    const { leading, pledged } = server.disk.record
    // It may have died between its pledge and the end of the receiver: the pledge is what holds.
    if (leading === null && pledged > 0 && !mayReceive(server.disk.record))
      await this.fence(pledged).catch(() => undefined) // said again when the record still asks for it
    else if (leading !== null && !server.inRecovery) this.#mark(leading)
  }

  onChange(changed: () => void): Stop {
    this.#listeners.add(changed)
    return () => void this.#listeners.delete(changed)
  }

  async close(): Promise<void> {
    this.letGo()
  }

  letGo(): void {
    this.#unwatch()
  }

  /** What is under way is called off: the agent says the next verb only when that is what should happen. */
  async #do(state: 'starting' | 'stopping', work: (verb: Verb) => Promise<void>): Promise<void> {
    const { server, clock, gate, random } = this.#parts
    if (this.#verb) this.#verb.isOff = true
    const verb = new Verb({ server, clock, gate, random })
    this.#verb = verb
    if (state === 'starting') this.#asked = false
    if (!server.runs && state === 'starting') this.#enter('starting')
    try {
      await work(verb)
    } catch (error) {
      if (!verb.isOff) this.#note = error instanceof UnderstudyError ? error.message : String(error)
      throw error
    } finally {
      if (this.#verb === verb) {
        this.#verb = null
        this.#look()
      }
    }
  }

  /** Begins the row of a rule; when it is on its quorum, people may come in. */
  #mark(rule: Rule): void {
    const { server, gate } = this.#parts
    if (sameRule(this.#marking, rule)) return
    this.#marking = rule
    const { process } = server
    server.mark(rule, (how) =>
      gate.deliver(() => {
        if (this.#marking !== rule || server.process !== process || !process) return
        this.#marking = null
        if (how === 'cancelled') return this.#mark(rule) // the row is here, and nobody says that it is anywhere else
        this.#durable = rule
        this.#open(rule)
        this.#look()
      }),
    )
    if (!server.checkpointed) server.checkpoint()
  }

  #open(rule: Rule): void {
    const { server } = this.#parts
    if (server.open || server.disk.record.leading === null) return
    server.open = true
    server.parts.ledger.open(server.parts.node, rule.term, server.disk.log)
  }

  async #marked(verb: Verb, rule: Rule): Promise<void> {
    if (sameRule(this.#durable, rule) && this.#parts.server.open) return
    this.#mark(rule)
    const isDone = () => sameRule(this.#durable, rule) && this.#parts.server.open
    await verb.until(`the row of the rule of term ${rule.term}`, MARK_WITHIN_MS, isDone)
  }

  #lookOn(): void {
    this.#parts.clock.after(LOOK_EVERY_MS, () => {
      this.#look()
      this.#lookOn()
    })
  }

  #look(): void {
    const { server } = this.#parts
    if (!server.runs) this.#seeEnd()
    else {
      if (this.#verb === null || this.#state === 'stopped') this.#enter('running')
      if (!server.isFrozen) this.#see()
      this.#judge()
    }
    const { healthForMs: _, stateForMs: __, retryInMs: ___, ...facts } = this.observe()
    const told = JSON.stringify({ ...facts, replica: { ...facts.replica, position: null, replayLagBytes: 0 } })
    if (told === this.#told) return
    this.#told = told
    for (const listener of [...this.#listeners]) listener()
  }

  #see(): void {
    const { server } = this.#parts
    const { disk, replay } = server
    this.#sight = sightOf(server)
    const { quarantinedUntil } = disk.record
    if (quarantinedUntil !== null && this.#sight.receives && replay.replayed >= quarantinedUntil)
      disk.record = { ...disk.record, quarantinedUntil: null }
  }

  #seeEnd(): void {
    if (this.#state === 'stopped' || (this.#state === 'starting' && this.#verb !== null)) return
    const { clock, random } = this.#parts
    this.#durable = null
    this.#marking = null
    this.#sight = null
    this.#fenced = this.#fenced === null ? null : undefined
    if (!this.#asked) {
      this.#failures += 1
      this.#retryAt = clock.mono() + restartWaitMs(this.#failures, random)
      this.#note = 'ended by itself'
    } else if (this.#state === 'stopping') this.#note = ''
    this.#feel('unknown')
    this.#enter('stopped')
  }

  #judge(): void {
    const { server, service, clock } = this.#parts
    this.#feel(...feelingOf(server, service))
    if (this.#health === 'healthy' && clock.mono() - this.#healthSince > FORGIVEN_AFTER_MS) this.#failures = 0
  }

  #feel(health: InstanceReport['health'], note?: string): void {
    if (health !== this.#health) this.#healthSince = this.#parts.clock.mono()
    this.#health = health
    if (note !== undefined) this.#note = note
    else if (health === 'healthy') this.#note = ''
  }

  #enter(state: InstanceReport['state']): void {
    if (state === this.#state) return
    this.#state = state
    this.#stateSince = this.#parts.clock.mono()
  }
}
