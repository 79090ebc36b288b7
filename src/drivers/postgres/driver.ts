/**
 * The driver behind `postgres()`: one PostgreSQL server on one node.
 *
 * START HERE, then recruit-server.ts (the heart), promote-server.ts, follow.ts, synchronous-standbys.ts and
 * durable-record.ts (what must not be forgotten). This file holds the verbs together. They come one at a time;
 * recruiting, an end or a demotion does not wait for a clone that is under way but calls it off. Each verb leads from
 * any state to the one that it names, because an agent that died half way repeats it, and the driver itself never
 * begins one.
 */

import type { InstanceReport, Term } from '../../core/model.ts'
import type { QuorumConfig } from '../../core/replicated/quorum-config.ts'
import { inBackground } from '../../lib/background.ts'
import type { Stop } from '../../lib/stop.ts'
import type { KeepingDriver, StartRequest, StopRequest } from '../driver.ts'
import { asOperating, refusal } from '../driver-refusal.ts'
import type { PrimaryAddress, ReplicaDriver } from '../replica-driver.ts'
import { create } from './copy/create-database.ts'
import { setAside } from './files/set-aside.ts'
import type { PostgresOptions } from './options.ts'
import type { Replica } from './replica.ts'
import { folderOf, type PostgresDriverParts, prepareReplica } from './replica-setup.ts'
import { within } from './server/admin-session.ts'
import { keepBalancerLogin } from './server/balancer-role.ts'
import { mayBeDamage } from './server/failed-start.ts'
import { hasCaughtUp, type ServerLook } from './server/observe-server.ts'
import { keepOwnerPassword } from './server/owner-password.ts'
import { endOfLog, lastWords, runningServer } from './server/postmaster.ts'
import { ServerLifecycle } from './server/server-lifecycle.ts'
import { Watch } from './server/server-watch.ts'
import { seeStreaming } from './slots/user-slots.ts'
import { adopt } from './verbs/adopt-server.ts'
import { changeQuorum } from './verbs/change-standbys.ts'
import { demote, endToReturn, type Steps } from './verbs/demote.ts'
import { follow } from './verbs/follow.ts'
import { PostPromotion } from './verbs/post-promotion.ts'
import { promoteReplica } from './verbs/promote-server.ts'
import { QuorumRows } from './verbs/quorum-row.ts'
import { recruit } from './verbs/recruit-server.ts'
import { WriteRefusal } from './verbs/refuse-writes.ts'
import { VerbTurns } from './verbs/verb-turns.ts'

export type { PostgresDriverParts } from './replica-setup.ts'

/** What a driver waits for to know all about a server that it takes over; what is not known by then comes later. */
const TAKEN_OVER_WITHIN_MS = 1_000

export function createPostgresDriver(parts: PostgresDriverParts): ReplicaDriver & KeepingDriver {
  return new PostgresDriver(parts)
}

class PostgresDriver implements ReplicaDriver, KeepingDriver {
  readonly #parts: PostgresDriverParts
  readonly #options: PostgresOptions
  readonly #turns = new VerbTurns()
  readonly #course: ServerLifecycle
  readonly #confirmation: WriteRefusal
  readonly #aftercare = new PostPromotion()
  #ground: Promise<Ground> | undefined
  #replica: Replica | undefined
  #watch: Watch | undefined
  #quorumRows: QuorumRows | undefined

  constructor(parts: PostgresDriverParts) {
    this.#parts = parts
    this.#options = parts.service.options as unknown as PostgresOptions
    this.#course = new ServerLifecycle(parts.service.name, parts.clock)
    this.#confirmation = new WriteRefusal(parts.service.timing.unhealthyForMs)
  }

  observe(): InstanceReport {
    return this.#course.report(this.#replica, this.#watch)
  }

  create(quorum: QuorumConfig): Promise<void> {
    return this.#verb(`create ${quorum.id}`, async ({ replica, quorumRows }, signal) => {
      if (replica.record.leading?.id === quorum.id && replica.runs && replica.quorumDurable) return
      this.#course.enter('starting')
      await create(replica, quorum, signal)
      this.#course.recruited = undefined
      quorumRows.begin(quorum) // not waited for: who is to acknowledge it may have to be copied from here first
      if (quorum.k === 0) await quorumRows.settled()
    })
  }

  /** As a standby it does not receive until `follow`; as a primary it goes on with the quorum that it had. */
  start({ role, term, beforeRun }: StartRequest): Promise<void> {
    return this.#verb(`start ${role} ${term}`, async ({ replica, quorumRows }, signal) => {
      const { leading, pledged } = replica.record
      if (role === 'primary') {
        if (!leading || leading.term !== term || pledged > term)
          return refused(`it was not the primary of term ${term}`)
        if (!replica.runs) this.#course.enter('starting')
        await promoteReplica(
          replica,
          leading,
          () => quorumRows.write(leading, this.#options.timing.quorumRowMs, signal),
          signal,
        )
        this.#aftercare.keepSlots(replica)
      } else {
        if (leading !== null) return refused(`it led in term ${leading.term}: recruit it, or start it as that`)
        if (!replica.runs) this.#course.enter('starting')
        await replica.start(signal)
      }
      if (replica.postmaster) await beforeRun?.(replica.postmaster.identity)
    })
  }

  promote(term: Term): Promise<void> {
    return refused(`a replicated service is promoted by a QuorumConfig: recruit(${term}), then promoteReplica(quorum)`)
  }

  follow(quorum: QuorumConfig, primary: PrimaryAddress): Promise<void> {
    const key = `follow ${quorum.term} ${primary.host}:${primary.port}`
    return this.#verb(key, async ({ replica }, signal) => {
      if (!replica.runs) this.#course.enter('starting')
      await follow(replica, quorum, primary, signal)
      this.#course.recruited = undefined
    })
  }

  recruit(term: Term): Promise<void> {
    return this.#urgent(`recruit ${term}`, async ({ replica, quorumRows }) => {
      const { recruited } = this.#course
      // One without data is recruited when nothing runs: a server may go on for a minute after its files were removed.
      const isAsItShouldBe = recruited === null ? !replica.runs : replica.runs
      if (recruited !== undefined && replica.record.pledged === term && isAsItShouldBe) return
      this.#course.recruited = undefined
      quorumRows.stop()
      this.#course.recruited = await recruit(replica, term)
    })
  }

  promoteReplica(quorum: QuorumConfig): Promise<void> {
    return this.#verb(`promote ${quorum.id}`, async ({ replica, quorumRows }, signal) => {
      if (replica.record.leading?.id === quorum.id && replica.runs && replica.quorumDurable) return
      const { leading } = replica.record
      const under = leading?.id === quorum.id ? leading : quorum // `changeQuorum` goes on with a change of it
      const write = () => {
        this.#course.recruited = undefined
        inBackground(this.#watch?.lookNow(), 'a look at the server')
        this.#aftercare.checkpointSoon(replica)
        return quorumRows.write(under, this.#options.timing.quorumRowMs, signal)
      }
      if (replica.runs) quorumRows.prepare()
      await promoteReplica(replica, under, write, signal)
      this.#aftercare.keepSlots(replica)
    })
  }

  changeQuorum(quorum: QuorumConfig): Promise<void> {
    return this.#verb(`change ${JSON.stringify(quorum)}`, ({ replica, quorumRows }, signal) =>
      changeQuorum(replica, quorum, (step) => quorumRows.write(step, this.#options.timing.quorumRowMs, signal)),
    )
  }

  demote(term: Term): Promise<void> {
    return this.#unlessItStays(`demote ${term}`, (ground, steps, signal) => demote(ground.replica, term, steps, signal))
  }

  stop({ graceMs, drains }: StopRequest): Promise<void> {
    if (drains)
      return this.#unlessItStays('stop, to return', async ({ replica }, steps, signal) => {
        await endToReturn(replica, steps, signal)
        this.#stopped('', false)
      })
    return this.#urgent('stop', async ({ replica, quorumRows }) => {
      if (replica.runs) this.#course.enter('stopping')
      quorumRows.stop()
      await replica.end('fast', graceMs, '')
      this.#stopped('', false)
    })
  }

  /** Ends a primary in order. When that is called off it goes on, and the error says why: nothing is wrong with it. */
  #unlessItStays(
    key: string,
    work: (ground: Ground, steps: Steps, signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const { note } = this.#course
    const done = this.#urgent(key, (ground, signal) => {
      const course = this.#course
      const steps = {
        ...this.#parts,
        hold: () => course.hold(),
        release: () => course.release(),
        stopping: () => course.enter('stopping'),
        ending: () => ground.quorumRows.stop(),
      }
      return work(ground, steps, signal)
    })
    const refused = done.catch((error: unknown) => {
      if (this.#replica?.runs) this.#course.note = note
      throw error
    })
    return refused.finally(() => this.#course.release())
  }

  kill(): Promise<void> {
    return this.#urgent('kill', async ({ replica, quorumRows }) => {
      quorumRows.stop()
      await replica.end('kill', 0, '')
      this.#stopped('', false)
    })
  }

  /** Needs no PostgreSQL: the files may be there when its programs are not. */
  async retire(): Promise<string | undefined> {
    let place: string | undefined
    await this.#turns.push('retire', async () => {
      const folder = folderOf(this.#parts, this.#options)
      if (runningServer(folder) !== undefined) throw refusal('its server runs')
      await this.close()
      place = setAside(folder, this.#parts.service.name, this.#parts.clock.wall())
    })
    const { service, node } = this.#parts
    return place && `the data of ${service.name} on ${node.name} is set aside: ${place}`
  }

  /** Does not reject when there is no PostgreSQL to be found: the agent has other work, and the note says it. */
  async adopt(): Promise<void> {
    try {
      await this.#prepare()
    } catch (error) {
      this.#course.note = asOperating(error).message
      return
    }
    await this.#verb('adopt', async ({ replica, quorumRows, watch }) => {
      this.#course.recruited = await adopt(replica, quorumRows)
      if (!replica.runs) return
      // Until then no balancer would send anything to what served a moment ago; a quorum that is away is not waited for.
      const { clock } = this.#parts
      await within(clock, TAKEN_OVER_WITHIN_MS, 'the quorum row', quorumRows.settled()).catch(() => {})
      await within(clock, TAKEN_OVER_WITHIN_MS, 'a look at the server', watch.takeOver()).catch(() => {})
    })
  }

  onChange(changed: () => void): Stop {
    return this.#course.onChange(changed)
  }

  async close(): Promise<void> {
    this.#turns.abort()
    this.#aftercare.stop()
    this.#quorumRows?.stop()
    this.#watch?.stop()
    this.#replica?.postmaster?.letGo()
    this.#replica?.hangUp()
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
      const { record, parts, repairs } = ground.replica
      this.#course.note = [record.discarded, ...parts.refused, ...repairs].filter(Boolean).join('; ')
    } catch (error) {
      if (!signal.aborted) this.#course.note = error instanceof Error ? error.message : String(error)
      throw asOperating(error)
    } finally {
      if (ground.replica.runs) {
        this.#course.enter('running')
        await ground.watch.lookNow()
        // What was called off by something more urgent did not fail.
      } else if (this.#course.state !== 'stopped') this.#stopped(this.#course.note, !signal.aborted)
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
    const replica = await prepareReplica(this.#parts, this.#options, (note) => {
      this.#course.note = note
      this.#course.tell()
    })
    replica.onServer = (postmaster) => {
      this.#course.enter('running')
      this.#watch?.forget()
      this.#watch?.feel('unknown', '')
      inBackground(
        postmaster.gone.then((how) => {
          if (replica.postmaster === postmaster) this.#ended(replica, how)
        }),
        'the end of a server',
      )
    }
    this.#replica = replica
    this.#quorumRows = new QuorumRows(replica, () => {
      inBackground(
        this.#watch?.lookNow().finally(() => this.#course.tell()),
        'a look at the server',
      )
      inBackground(keepBalancerLogin(replica), 'keeping the balancers’ login') // never rejects
      inBackground(keepOwnerPassword(replica), 'keeping a password') // nor does this
    })
    this.#watch = new Watch({
      replica,
      probeEveryMs: service.timing.probeEveryMs,
      probeTimeoutMs: service.timing.probeTimeoutMs,
      loopLagMs: () => this.#parts.loopLagMs(),
      onSight: (sight) => this.#seen(replica, sight),
      changed: () => this.#course.tell(),
      isIdle: () => this.#turns.isIdle,
      restart: (work) => this.#verb('take over logical slots', (_, signal) => work(signal)),
    })
    this.#watch.start()
    return { replica, watch: this.#watch, quorumRows: this.#quorumRows }
  }

  #seen(replica: Replica, sight: ServerLook): void {
    if (this.#watch?.health === 'healthy') {
      this.#course.failures = 0
      replica.run.healthy = true
      replica.badRuns = 0
      replica.copiedAnew = false
    }
    this.#confirmation.see(replica, sight)
    seeStreaming(
      replica,
      sight.streaming.map(({ node }) => node),
    )
    if (!hasCaughtUp(replica, sight)) return
    replica.parts.record.change({ quarantinedUntil: null })
    replica.reload()
    this.#course.tell()
  }

  #ended(replica: Replica, how: string): void {
    const asked = replica.farewell !== undefined
    const { answered, healthy, damaged } = replica.run
    const byItself = !asked && !how.startsWith('killed')
    const said = endOfLog(replica.parts.folder, replica.postmaster?.logFrom)
    if (answered && !healthy && (damaged || (byItself && mayBeDamage({ how, said })))) replica.badRuns += 1
    replica.durable = null
    this.#quorumRows?.stop()
    this.#course.recruited = this.#course.recruited === null ? null : undefined
    this.#stopped(
      asked ? (replica.farewell ?? '') : `${how}: ${lastWords(replica.parts.folder, replica.postmaster?.logFrom)}`,
      !asked,
    )
  }

  #stopped(note: string, byItself: boolean): void {
    if (this.#course.state !== 'stopped') this.#watch?.forget()
    this.#course.stopped(note, byItself)
  }
}

interface Ground {
  readonly replica: Replica
  readonly watch: Watch
  readonly quorumRows: QuorumRows
}

type Work = (ground: Ground, signal: AbortSignal) => Promise<void>

function refused(message: string): Promise<never> {
  return Promise.reject(refusal(message))
}
