/**
 * The driver behind `postgres()`: one PostgreSQL server on one node.
 *
 * START HERE, then recruit-member.ts (the heart), lead.ts, follow.ts, synchronous-standbys.ts and member-record.ts (what must not be forgotten). This file
 * holds the verbs together. They come one at a time; a fence, an end or a demotion does not wait for a copy that is under way
 * but calls it off. Each verb leads from any state to the one that it names, because an agent that died half way says it
 * again, and none is ever begun by the driver itself.
 */

import type { InstanceReport, Term } from '../../core/model.ts'
import type { QuorumConfig } from '../../core/replicated/quorum-config.ts'
import { inBackground } from '../../lib/background.ts'
import type { Stop } from '../../lib/stop.ts'
import type { StartRequest } from '../driver.ts'
import { asOperating, refusal } from '../driver-refusal.ts'
import type { PrimaryAddress, ReplicaDriver } from '../replica-driver.ts'
import { create } from './copy/create-database.ts'
import type { Member } from './member.ts'
import { type PostgresDriverParts, prepareMember } from './member-setup.ts'
import type { PostgresOptions } from './options.ts'
import { keepDoorLogin } from './server/balancer-role.ts'
import { mayBeDamage } from './server/failed-start.ts'
import { hasCaughtUp, type ServerLook } from './server/observe-server.ts'
import { endOfLog, lastWords } from './server/postmaster.ts'
import { ServerLifecycle } from './server/server-lifecycle.ts'
import { Watch } from './server/server-watch.ts'
import { seeStreaming } from './slots/user-slots.ts'
import { adopt } from './verbs/adopt-server.ts'
import { changeRule } from './verbs/change-standbys.ts'
import { demote } from './verbs/demote.ts'
import { follow } from './verbs/follow.ts'
import { lead } from './verbs/lead.ts'
import { PostPromotion } from './verbs/post-promotion.ts'
import { QuorumRows } from './verbs/quorum-row.ts'
import { fence } from './verbs/recruit-member.ts'
import { WriteRefusal } from './verbs/refuse-writes.ts'
import { VerbTurns } from './verbs/verb-turns.ts'

export type { PostgresDriverParts } from './member-setup.ts'

export function createPostgresDriver(parts: PostgresDriverParts): ReplicaDriver {
  return new PostgresDriver(parts)
}

class PostgresDriver implements ReplicaDriver {
  readonly #parts: PostgresDriverParts
  readonly #options: PostgresOptions
  readonly #turns = new VerbTurns()
  readonly #course: ServerLifecycle
  readonly #confirmation: WriteRefusal
  readonly #aftercare = new PostPromotion()
  #ground: Promise<Ground> | undefined
  #member: Member | undefined
  #watch: Watch | undefined
  #marker: QuorumRows | undefined

  constructor(parts: PostgresDriverParts) {
    this.#parts = parts
    this.#options = parts.service.options as unknown as PostgresOptions
    this.#course = new ServerLifecycle(parts.service.name, parts.clock)
    this.#confirmation = new WriteRefusal(parts.service.timing.unhealthyForMs)
  }

  observe(): InstanceReport {
    return this.#course.report(this.#member, this.#watch)
  }

  create(rule: QuorumConfig): Promise<void> {
    return this.#verb(`create ${rule.id}`, async ({ member, marker }, signal) => {
      if (member.record.leading?.id === rule.id && member.runs && member.ruleDurable) return
      this.#course.enter('starting')
      await create(member, rule, signal)
      this.#course.fenced = undefined
      marker.begin(rule) // not waited for: who is to acknowledge it may have to be copied from here first
      if (rule.k === 0) await marker.settled()
    })
  }

  /** As a standby it receives from nobody until `follow`; as a primary it goes on with the rule that it led under. */
  start({ role, term, beforeRun }: StartRequest): Promise<void> {
    return this.#verb(`start ${role} ${term}`, async ({ member, marker }, signal) => {
      const { leading, pledged } = member.record
      if (role === 'primary') {
        if (!leading || leading.term !== term || pledged > term)
          return refused(`it was not the primary of term ${term}`)
        if (!member.runs) this.#course.enter('starting')
        await lead(member, leading, () => marker.mark(leading, this.#options.timing.markMs, signal), signal)
        this.#aftercare.keepSlots(member)
      } else {
        if (leading !== null) return refused(`it led in term ${leading.term}: fence it, or start it as that`)
        if (!member.runs) this.#course.enter('starting')
        await member.start(signal)
      }
      if (member.postmaster) await beforeRun?.(member.postmaster.identity)
    })
  }

  promote(term: Term): Promise<void> {
    return refused(`a replicated service is promoted by a rule: fence(${term}), then lead(rule)`)
  }

  follow(rule: QuorumConfig, primary: PrimaryAddress): Promise<void> {
    const key = `follow ${rule.term} ${primary.host}:${primary.port}`
    return this.#verb(key, async ({ member }, signal) => {
      if (!member.runs) this.#course.enter('starting')
      await follow(member, rule, primary, signal)
      this.#course.fenced = undefined
    })
  }

  fence(term: Term): Promise<void> {
    return this.#urgent(`fence ${term}`, async ({ member, marker }) => {
      const { fenced } = this.#course
      // One without data is fenced when nothing runs: a server may go on for a minute after its files were removed.
      const isAsItShouldBe = fenced === null ? !member.runs : member.runs
      if (fenced !== undefined && member.record.pledged === term && isAsItShouldBe) return
      this.#course.fenced = undefined
      marker.stop()
      this.#course.fenced = await fence(member, term)
    })
  }

  lead(rule: QuorumConfig): Promise<void> {
    return this.#verb(`lead ${rule.id}`, async ({ member, marker }, signal) => {
      if (member.record.leading?.id === rule.id && member.runs && member.ruleDurable) return
      const { leading } = member.record
      const under = leading?.id === rule.id ? leading : rule // a change of its rule is for `changeRule` to go on with
      const mark = () => {
        this.#course.fenced = undefined
        inBackground(this.#watch?.lookNow(), 'a look at the server')
        this.#aftercare.checkpointSoon(member)
        return marker.mark(under, this.#options.timing.markMs, signal)
      }
      if (member.runs) marker.prepare()
      await lead(member, under, mark, signal)
      this.#aftercare.keepSlots(member)
    })
  }

  changeRule(rule: QuorumConfig): Promise<void> {
    return this.#verb(`change ${JSON.stringify(rule)}`, ({ member, marker }, signal) =>
      changeRule(member, rule, (step) => marker.mark(step, this.#options.timing.markMs, signal)),
    )
  }

  demote(term: Term): Promise<void> {
    const { note } = this.#course
    const done = this.#urgent(`demote ${term}`, ({ member, marker }, signal) => {
      const stopping = () => this.#course.enter('stopping')
      return demote(member, term, { ...this.#parts, stopping, ending: () => marker.stop() }, signal)
    })
    return done.catch((error: unknown) => {
      // It leads on, and whoever asked says why: nothing is wrong with it.
      if (this.#member?.runs) this.#course.note = note
      throw error
    })
  }

  stop({ graceMs }: { readonly settleMs: number; readonly graceMs: number }): Promise<void> {
    return this.#urgent('stop', async ({ member, marker }) => {
      if (member.runs) this.#course.enter('stopping')
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

  /** Does not reject when there is no PostgreSQL to be found: the agent has other work, and the note says it. */
  async adopt(): Promise<void> {
    try {
      await this.#prepare()
    } catch (error) {
      this.#course.note = asOperating(error).message
      return
    }
    await this.#verb('adopt', async ({ member, marker }) => {
      this.#course.fenced = await adopt(member, marker)
    })
  }

  onChange(changed: () => void): Stop {
    return this.#course.onChange(changed)
  }

  async close(): Promise<void> {
    this.#turns.abort()
    this.#aftercare.stop()
    this.#marker?.stop()
    this.#watch?.stop()
    this.#member?.postmaster?.letGo()
    this.#member?.hangUp()
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
      this.#course.note = [ground.member.record.discarded, ...ground.member.repairs].filter(Boolean).join('; ')
    } catch (error) {
      if (!signal.aborted) this.#course.note = error instanceof Error ? error.message : String(error)
      throw asOperating(error)
    } finally {
      if (ground.member.runs) {
        this.#course.enter('running')
        await ground.watch.lookNow()
      } else if (this.#course.state !== 'stopped') this.#stopped(this.#course.note, true)
      this.#course.tell()
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
      this.#course.note = note
      this.#course.tell()
    })
    member.onServer = (postmaster) => {
      this.#course.enter('running')
      this.#watch?.forget()
      this.#watch?.feel('unknown', '')
      inBackground(
        postmaster.gone.then((how) => {
          if (member.postmaster === postmaster) this.#ended(member, how)
        }),
        'the end of a server',
      )
    }
    this.#member = member
    this.#marker = new QuorumRows(member, () => {
      inBackground(
        this.#watch?.lookNow().finally(() => this.#course.tell()),
        'a look at the server',
      )
      inBackground(keepDoorLogin(member), 'keeping the balancers’ login') // never rejects
    })
    this.#watch = new Watch({
      member,
      probeEveryMs: service.timing.probeEveryMs,
      probeTimeoutMs: service.timing.probeTimeoutMs,
      loopLagMs: () => this.#parts.loopLagMs(),
      onSight: (sight) => this.#seen(member, sight),
      changed: () => this.#course.tell(),
      restart: (work) => this.#verb('take over logical slots', (_, signal) => work(signal)),
    })
    this.#watch.start()
    return { member, watch: this.#watch, marker: this.#marker }
  }

  #seen(member: Member, sight: ServerLook): void {
    if (this.#watch?.health === 'healthy') {
      this.#course.failures = 0
      member.run.healthy = true
      member.badRuns = 0
      member.copiedAnew = false
    }
    this.#confirmation.see(member, sight)
    seeStreaming(
      member,
      sight.streaming.map(({ node }) => node),
    )
    if (!hasCaughtUp(member, sight)) return
    member.parts.record.change({ quarantinedUntil: null })
    member.reload()
    this.#course.tell()
  }

  #ended(member: Member, how: string): void {
    const asked = member.farewell !== undefined
    const { answered, healthy, damaged } = member.run
    const byItself = !asked && !how.startsWith('killed')
    const said = endOfLog(member.parts.folder, member.postmaster?.logFrom)
    if (answered && !healthy && (damaged || (byItself && mayBeDamage({ how, said })))) member.badRuns += 1
    member.durable = null
    this.#marker?.stop()
    this.#course.fenced = this.#course.fenced === null ? null : undefined
    this.#stopped(
      asked ? (member.farewell ?? '') : `${how}: ${lastWords(member.parts.folder, member.postmaster?.logFrom)}`,
      !asked,
    )
  }

  #stopped(note: string, byItself: boolean): void {
    if (this.#course.state !== 'stopped') this.#watch?.forget()
    this.#course.stopped(note, byItself)
  }
}

interface Ground {
  readonly member: Member
  readonly watch: Watch
  readonly marker: QuorumRows
}

type Work = (ground: Ground, signal: AbortSignal) => Promise<void>

function refused(message: string): Promise<never> {
  return Promise.reject(refusal(message))
}
