/**
 * The driver behind `postgres()`: one PostgreSQL server on one node.
 *
 * START HERE, then fence.ts (the heart), lead.ts, follow.ts, rule.ts and record.ts (what must not be forgotten). This file
 * holds the verbs together. They come one at a time; a fence, an end or a demotion does not wait for a copy that is under way
 * but calls it off. Each verb leads from any state to the one that it names, because an agent that died half way says it
 * again, and none is ever begun by the driver itself.
 */
import type { InstanceReport, Term } from '../../core/model.ts'
import type { Position, Rule } from '../../core/replica.ts'
import { UnderstudyError } from '../../errors.ts'
import { backoffMs } from '../../lib/backoff.ts'
import type { Stop } from '../../lib/stop.ts'
import type { StartRequest } from '../driver.ts'
import type { PrimaryAddress, ReplicaDriver } from '../replica.ts'
import { changeRule } from './change.ts'
import { create } from './create.ts'
import { demote } from './demote.ts'
import { fence, settledPosition, stopReceiving } from './fence.ts'
import { follow } from './follow.ts'
import { type PostgresDriverParts, prepareMember } from './ground.ts'
import { checkpoint, ensureSlots, lead } from './lead.ts'
import { Marker } from './marker.ts'
import type { Member } from './member.ts'
import { hasCaughtUp, replicaReport, type Sight } from './observe.ts'
import type { PostgresOptions } from './options.ts'
import { mayReceive } from './record.ts'
import { findPostmaster, killRemains, lastWords } from './server.ts'
import { Turns } from './turns.ts'
import { Watch } from './watch.ts'

export type { PostgresDriverParts } from './ground.ts'

export function createPostgresDriver(parts: PostgresDriverParts): ReplicaDriver {
  return new PostgresDriver(parts)
}

const BACKOFF = { firstMs: 500, mostMs: 30_000 }

class PostgresDriver implements ReplicaDriver {
  readonly #parts: PostgresDriverParts
  readonly #options: PostgresOptions
  readonly #turns = new Turns()
  readonly #listeners = new Set<() => void>()
  #ground: Promise<Ground> | undefined
  #member: Member | undefined
  #watch: Watch | undefined
  #marker: Marker | undefined
  #state: InstanceReport['state'] = 'stopped'
  #stateSince: number
  #failures = 0
  #endedAt = 0
  #note = ''
  /** Undefined: not fenced. Null: fenced, and nothing is known of any data. */
  #fenced: Position | null | undefined

  constructor(parts: PostgresDriverParts) {
    this.#parts = parts
    this.#options = parts.service.options as unknown as PostgresOptions
    this.#stateSince = parts.clock.mono()
  }

  observe(): InstanceReport {
    const { clock, service } = this.#parts
    const member = this.#member
    const watch = this.#watch
    const running = member?.runs === true
    const leads = running && watch?.sight?.inRecovery === false
    const now = clock.mono()
    const retryAt = this.#endedAt + backoffMs(this.#failures, BACKOFF)
    return {
      service: service.name,
      role: !running ? 'none' : leads ? 'primary' : 'standby',
      state: this.#state,
      health: running ? (watch?.health ?? 'unknown') : 'unknown',
      note: [this.#note, watch?.note].filter(Boolean).join('; '),
      healthForMs: now - (watch?.healthSince ?? this.#stateSince),
      stateForMs: now - this.#stateSince,
      hung: watch?.hung ?? false,
      term: leads ? (member?.record.leading?.term ?? 0) : 0,
      failures: this.#failures,
      retryInMs: running ? 0 : Math.max(0, retryAt - now),
      ...(running && member.postmaster ? member.postmaster.identity : {}),
      ...(member ? { port: member.parts.port } : {}),
      ...(member ? { replica: replicaReport(member, watch?.sight ?? null, this.#fenced) } : {}),
    }
  }

  create(rule: Rule): Promise<void> {
    return this.#verb(`create ${rule.id}`, async ({ member, marker }) => {
      if (member.record.leading?.id === rule.id && member.runs && member.ruleDurable) return
      this.#enter('starting')
      await create(member, rule)
      this.#fenced = undefined
      marker.begin(rule) // not waited for: who is to acknowledge it may have to be copied from here first
      if (rule.k === 0) await marker.settled()
    })
  }

  /** As a standby it receives from nobody until `follow`; as a primary it goes on with the rule that it led under. */
  start({ role, term, beforeRun }: StartRequest): Promise<void> {
    return this.#verb(`start ${role} ${term}`, async ({ member, marker }, signal) => {
      const { leading, pledged } = member.record
      if (role === 'primary') {
        if (!leading || leading.term !== term || pledged > term) return refuse(`it was not the primary of term ${term}`)
        if (!member.runs) this.#enter('starting')
        await lead(member, leading, () => marker.mark(leading, this.#options.timing.markMs, signal), signal)
        this.#led(member)
      } else {
        if (leading !== null) return refuse(`it led in term ${leading.term}: fence it, or start it as that`)
        if (!member.runs) this.#enter('starting')
        await member.start(signal)
      }
      if (member.postmaster) await beforeRun?.(member.postmaster.identity)
    })
  }

  promote(term: Term): Promise<void> {
    return refuse(`a replicated service is promoted by a rule: fence(${term}), then lead(rule)`)
  }

  follow(rule: Rule, primary: PrimaryAddress): Promise<void> {
    const key = `follow ${rule.term} ${primary.host}:${primary.port}`
    return this.#verb(key, async ({ member }, signal) => {
      if (!member.runs) this.#enter('starting')
      await follow(member, rule, primary, signal)
      this.#fenced = undefined
    })
  }

  fence(term: Term): Promise<void> {
    return this.#urgent(`fence ${term}`, async ({ member, marker }) => {
      if (this.#fenced !== undefined && member.record.pledged === term && (member.runs || this.#fenced === null)) return
      this.#fenced = undefined
      marker.stop()
      this.#fenced = await fence(member, term)
    })
  }

  lead(rule: Rule): Promise<void> {
    return this.#verb(`lead ${rule.id}`, async ({ member, marker }, signal) => {
      if (member.record.leading?.id === rule.id && member.runs && member.ruleDurable) return
      const mark = () => {
        this.#fenced = undefined
        void this.#watch?.lookNow()
        return marker.mark(rule, this.#options.timing.markMs, signal)
      }
      if (member.runs) marker.prepare()
      await lead(member, rule, mark, signal)
      this.#led(member)
    })
  }

  changeRule(rule: Rule): Promise<void> {
    return this.#verb(`change ${JSON.stringify(rule)}`, ({ member, marker }, signal) =>
      changeRule(member, rule, (step) => marker.mark(step, this.#options.timing.markMs, signal)),
    )
  }

  demote(term: Term): Promise<void> {
    return this.#urgent(`demote ${term}`, async ({ member, marker }) => {
      marker.stop()
      if (member.runs) this.#enter('stopping')
      await demote(member, term)
    })
  }

  stop({ graceMs }: { readonly settleMs: number; readonly graceMs: number }): Promise<void> {
    return this.#urgent('stop', async ({ member, marker }) => {
      if (member.runs) this.#enter('stopping')
      marker.stop()
      await member.end('fast', graceMs, '')
      this.#stopped('', false)
    })
  }

  kill(): Promise<void> {
    return this.#urgent('kill', async ({ member, marker }) => {
      marker.stop()
      await member.end('kill', 0, '')
      this.#stopped('', false)
    })
  }

  adopt(): Promise<void> {
    return this.#verb('adopt', async ({ member }) => {
      const { folder, clock, record } = member.parts
      folder.removeFresh()
      const postmaster = findPostmaster(folder, clock)
      if (!postmaster) return killRemains(folder.data, clock)
      member.hold(postmaster)
      // A rule whose row was durable stays durable; one that was not is marked again when it is led by again.
      this.#enter('running')
      if (mayReceive(record.now)) return
      // It may have died between its pledge and the end of the receiver: the pledge is what holds.
      if (record.now.leading === null && postmaster.isFrozen === false) {
        await member.untilItAnswers()
        if (!(await member.inRecovery())) {
          await member.end('immediate', 500, 'it ran as a primary without leading anything')
          await member.start()
        }
        await stopReceiving(member)
        if (record.now.pledged > 0) this.#fenced = await settledPosition(member)
      } else if (record.now.leading !== null && !postmaster.isFrozen) {
        await member.untilItAnswers()
        const leading = record.now.leading
        if (!(await member.inRecovery())) this.#marker?.begin(leading)
      }
    })
  }

  onChange(changed: () => void): Stop {
    this.#listeners.add(changed)
    return () => this.#listeners.delete(changed)
  }

  async close(): Promise<void> {
    this.#turns.abort()
    this.#marker?.stop()
    this.#watch?.stop()
    this.#member?.postmaster?.letGo()
    this.#member?.hangUp()
  }

  #led(member: Member): void {
    void checkpoint(member).catch(() => {}) // whoever has to rewind waits for one, and asks for the truth himself
    const members = member.record.leading?.members ?? []
    void ensureSlots(member, members).catch(() => {}) // made on each change of rule, and by each follower ahead of time
  }

  #verb(key: string, work: Work): Promise<void> {
    return this.#turns.take(key, (signal) => this.#do(work, signal))
  }

  /** Calls off what is under way and goes next. */
  #urgent(key: string, work: Work): Promise<void> {
    return this.#turns.push(key, (signal) => this.#do(work, signal))
  }

  async #do(work: Work, signal: AbortSignal): Promise<void> {
    const ground = await this.#prepare()
    try {
      await work(ground, signal)
      this.#note = ground.member.record.discarded ?? ''
    } catch (error) {
      if (!signal.aborted) this.#note = error instanceof Error ? error.message : String(error)
      throw asOperating(error)
    } finally {
      if (ground.member.runs) {
        this.#enter('running')
        await ground.watch.lookNow()
      } else if (this.#state !== 'stopped') this.#stopped(this.#note, true)
      this.#tell()
    }
  }

  #prepare(): Promise<Ground> {
    this.#ground ??= this.#makeGround().catch((error: unknown) => {
      this.#ground = undefined
      throw error
    })
    return this.#ground
  }

  async #makeGround(): Promise<Ground> {
    const { service } = this.#parts
    const member = await prepareMember(this.#parts, this.#options, (note) => {
      this.#note = note
      this.#tell()
    })
    member.onServer = (postmaster) => {
      this.#enter('running')
      this.#watch?.forget()
      this.#watch?.feel('unknown', '')
      void postmaster.gone.then((how) => {
        if (member.postmaster === postmaster) this.#ended(member, how)
      })
    }
    this.#member = member
    this.#marker = new Marker(member, () => {
      void this.#watch?.lookNow().finally(() => this.#tell())
    })
    this.#watch = new Watch({
      member,
      probeEveryMs: service.timing.probeEveryMs,
      probeTimeoutMs: service.timing.probeTimeoutMs,
      loopLagMs: () => this.#parts.loopLagMs(),
      onSight: (sight) => this.#seen(member, sight),
      changed: () => this.#tell(),
    })
    this.#watch.start()
    return { member, watch: this.#watch, marker: this.#marker }
  }

  #seen(member: Member, sight: Sight): void {
    if (this.#watch?.health === 'healthy') this.#failures = 0
    if (!hasCaughtUp(member, sight)) return
    member.parts.record.change({ quarantinedUntil: null })
    member.reload()
    this.#tell()
  }

  #ended(member: Member, how: string): void {
    const asked = member.farewell !== undefined
    member.ruleDurable = false
    this.#marker?.stop()
    this.#fenced = this.#fenced === null ? null : undefined
    this.#stopped(asked ? (member.farewell ?? '') : `${how}: ${lastWords(member.parts.folder)}`, !asked)
  }

  #stopped(note: string, failed: boolean): void {
    if (this.#state === 'stopped') return
    this.#watch?.forget()
    this.#note = note
    this.#endedAt = this.#parts.clock.mono()
    if (failed) this.#failures += 1
    this.#enter('stopped')
  }

  #enter(state: InstanceReport['state']): void {
    if (state === this.#state) return
    this.#state = state
    this.#stateSince = this.#parts.clock.mono()
    this.#tell()
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener()
  }
}

interface Ground {
  readonly member: Member
  readonly watch: Watch
  readonly marker: Marker
}

type Work = (ground: Ground, signal: AbortSignal) => Promise<void>

function refuse(message: string): Promise<never> {
  return Promise.reject(new UnderstudyError('UND_REFUSED', message))
}

function asOperating(error: unknown): UnderstudyError {
  if (error instanceof UnderstudyError) return error
  return new UnderstudyError('UND_REFUSED', error instanceof Error ? error.message : String(error), { cause: error })
}
