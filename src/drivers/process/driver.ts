/**
 * The driver behind `http()` and `command()`: one process, with everything that it starts, on one node.
 *
 * START HERE, then spawn.ts (nothing runs before it is known and fenced), instance.ts (stopped means that nothing is
 * left) and health.ts. This file holds the verbs together: each may come twice, in any state, and from an agent that
 * knows nothing of the one that died before it. What must outlive an agent is in the instance file
 * (instance-record.ts).
 *
 * An end counts as a failure unless we asked a healthy instance to end. Failures lengthen the back-off before the next
 * start (../restart-backoff.ts); the driver only reports how long it is and never starts anything by itself.
 */

import type { InstanceReport, NodeSpec, ServiceSpec, Term } from '../../core/model.ts'
import { guarded, inBackground } from '../../lib/background.ts'
import { type Clock, sleep } from '../../lib/clock.ts'
import { formatDuration } from '../../lib/duration.ts'
import { isAlive, type ProcessIdentity, processState } from '../../lib/proc.ts'
import type { Random } from '../../lib/random.ts'
import type { Stop } from '../../lib/stop.ts'
import type { Driver, StartRequest } from '../driver.ts'
import { isRefusal, notStarted, refusal } from '../driver-refusal.ts'
import type { SecretSource } from '../secret-source.ts'
import { describeEnding, type Ending } from './ending.ts'
import { HEALTH_AT_START, healthAfterAdoption } from './health.ts'
import { Instance, type InstanceParts, killRemains } from './instance.ts'
import { InstanceHealth } from './instance-health.ts'
import { InstanceHistory } from './instance-history.ts'
import { Place } from './instance-place.ts'
import type { InstanceRecord } from './instance-record.ts'
import { InstanceState } from './instance-state.ts'
import { keepLogWriter, prepareLog } from './log-writer.ts'
import { tellPromotion } from './promote-hook.ts'
import { startedFrom } from './started-from.ts'

export interface ProcessDriverParts {
  /** The cluster's name. */
  readonly cluster: string
  readonly node: NodeSpec
  readonly service: ServiceSpec
  /** The node's state folder: `instances/` and `logs/` are made in it. */
  readonly nodeDir: string
  readonly clock: Clock
  readonly random: Random
  /** How late this agent's event loop was in about the last second: misses taken meanwhile prove nothing. */
  loopLagMs(): number
  /** Whether a guard of ours killed this process, as a sentence; undefined when none did. Default: none ever does. */
  killedByUs?(identity: ProcessIdentity): string | undefined
  /** Default: no secret is set. */
  readonly secrets?: SecretSource
}

export function createProcessDriver(parts: ProcessDriverParts): Driver {
  return new ProcessDriver(parts)
}

/** Why we end an instance ourselves; the first reason stands. */
interface Farewell {
  /** It was healthy: its end is no failure. */
  readonly planned: boolean
  readonly note: string
}

class ProcessDriver implements Driver {
  readonly #parts: ProcessDriverParts
  readonly #clock: Clock
  readonly #place: Place
  readonly #standing: InstanceState
  readonly #books: InstanceHistory
  readonly #wellness: InstanceHealth
  #instance: Instance | undefined
  #farewell: Farewell | undefined
  /** Resolves when the present instance is gone and the books are closed. */
  #over: Promise<void> = Promise.resolve()
  #starting: { readonly request: StartRequest; readonly done: Promise<void> } | undefined
  #stopping: Promise<void> | undefined
  #stopLogWatch: Stop = () => {}
  /** The instance file could not be used: what it speaks of may run, so nothing is started before it can. */
  #isUnread = false
  readonly #closed = new AbortController()

  constructor(parts: ProcessDriverParts) {
    this.#parts = parts
    this.#clock = parts.clock
    this.#place = new Place(parts.cluster, parts.node, parts.service, parts.nodeDir, parts.secrets)
    this.#standing = new InstanceState(parts.clock)
    this.#books = new InstanceHistory(this.#place.recordPath, parts.clock, parts.random, startedFrom(parts.service))
    this.#wellness = new InstanceHealth({
      clock: parts.clock,
      standing: this.#standing,
      books: this.#books,
      timing: parts.service.timing,
      loopLagMs: () => parts.loopLagMs(),
      isHung: () => this.#instance?.hung ?? false,
    })
  }

  observe(): InstanceReport {
    const record = this.#instance && this.#books.record
    return {
      service: this.#parts.service.name,
      ...this.#standing.report(),
      hung: this.#instance?.hung ?? false,
      ...this.#books.report(),
      role: record?.role ?? 'none',
      term: this.#books.record?.term ?? 0,
      ...(record ? { ...record.identity, port: record.port } : {}),
      ...(record && this.#books.outdated && { outdated: this.#books.outdated }),
    }
  }

  start(request: StartRequest): Promise<void> {
    const { state } = this.#standing
    const present = this.#starting?.request ?? this.#books.record
    const same = present?.role === request.role && present.term === request.term
    if (this.#starting && same) return this.#starting.done
    if (state === 'running' && same) return Promise.resolve()
    if (this.#starting || state !== 'stopped') {
      return Promise.reject(refusal(`it is ${state} here as ${present?.role} of term ${present?.term}`))
    }
    const done = this.#start(request).finally(() => {
      this.#starting = undefined
    })
    this.#starting = { request, done }
    return done
  }

  async promote(term: Term): Promise<void> {
    const instance = this.#instance
    const record = this.#books.record
    if (this.#standing.state !== 'running' || !instance || !record) throw refusal('nothing runs here to be promoted')
    if (record.role === 'active') throw refusal('an active instance has no primary to become')
    if (record.term > term) throw refusal(`it has term ${record.term} already, which is higher than ${term}`)
    if (record.role === 'primary' && record.term === term && record.told) return
    this.#place.writeTerm(term)
    // Written before it is told: the next agent must take it for what it may have become.
    this.#books.change({ role: 'primary', term, told: false })
    try {
      await tellPromotion({
        hook: this.#place.options.promote,
        identity: record.identity,
        host: this.#parts.node.address,
        port: record.port,
        https: this.#place.options.health.asks?.https,
        term,
      })
    } catch (error) {
      // Refused for certain: it is what it was. When that is not known, it counts as told already.
      const { role, term: oldTerm, told } = record
      if (isRefusal(error) && this.#instance === instance) this.#books.change({ role, term: oldTerm, told })
      throw error
    }
    if (this.#instance !== instance) throw refusal('it ended while it was told')
    this.#books.change({ told: true })
  }

  stop(request: { readonly settleMs: number; readonly graceMs: number }): Promise<void> {
    if (this.#starting || !this.#instance) return this.kill() // it has not run a line yet: there is nothing to ask
    this.#stopping ??= this.#stop(this.#instance, request.settleMs, request.graceMs).finally(() => {
      this.#stopping = undefined
    })
    return this.#stopping
  }

  async kill(why = ''): Promise<void> {
    if (this.#starting) {
      this.#farewell ??= { planned: true, note: why || 'called off before it ran' }
      this.#instance?.kill()
      await this.#starting.done.catch(() => {}) // start() rejects with it
    }
    if (!this.#instance) return
    this.#beginEnd(why)
    this.#instance.kill()
    await this.#untilOver()
  }

  async adopt(): Promise<void> {
    const record = this.#loadBooks()
    if (record?.phase === 'ended') this.#standing.feel('unknown', record.note)
    if (!record || record.phase === 'ended') {
      if (!this.#isUnread) this.#place.removeSecrets()
      return prepareLog(this.#place.log)
    }
    if (record.phase === 'gated' || !isAlive(record.identity)) return this.#bury(record)
    this.#hold(new Instance({ identity: record.identity, child: null, ...this.#instanceParts() }))
    this.#standing.enter('running', record.startedAtMono)
    const pid = () => this.#instance?.identity.pid
    const check = await this.#place.check(record.role, record.term, record.port, pid, record.secrets ?? {})
    // The first check is waited for, so that what this agent says first is something that it has seen itself.
    await this.#wellness.begin(check, record.startedAtMono, healthAfterAdoption(record.wasHealthy))
  }

  onChange(changed: () => void): Stop {
    return this.#standing.onChange(changed)
  }

  async close(): Promise<void> {
    if (this.#starting) await this.kill()
    this.#instance?.letGo()
    this.#wellness.end()
    this.#stopLogWatch()
    this.#closed.abort()
  }

  /** A file that cannot be used is told as the note of this instance, and read again before each start. */
  #loadBooks(): InstanceRecord | undefined {
    try {
      const record = this.#books.load()
      this.#isUnread = false
      return record
    } catch (error) {
      this.#isUnread = true
      this.#standing.feel('unknown', (error as Error).message)
      return undefined
    }
  }

  async #adoptNow(): Promise<void> {
    await this.adopt()
    if (this.#isUnread) throw refusal(this.#standing.note)
    if (this.#standing.state !== 'stopped') throw refusal('what an earlier agent started was found: it runs')
  }

  async #start(request: StartRequest): Promise<void> {
    if (this.#isUnread) await this.#adoptNow()
    this.#farewell = undefined
    this.#standing.feel('unknown', '')
    this.#standing.enter('starting')
    try {
      await this.#run(request)
    } catch (cause) {
      const error = notStarted(cause)
      this.#farewell ??= { planned: false, note: error.message }
      this.#instance?.kill()
      if (this.#instance) await this.#untilOver()
      // Still `starting`: there was never a process whose end could have closed them.
      else if (this.#standing.state === 'starting') this.#closeBooks(this.#farewell)
      throw error
    }
  }

  /** The order of spawn.ts: an identity, the instance file, the fence, and only then the program. */
  async #run({ role, term, beforeRun }: StartRequest): Promise<void> {
    const port = await this.#place.findPort(this.#books.record?.port ?? null)
    const secrets = this.#place.secretsNow()
    const check = await this.#place.check(role, term, port, () => this.#instance?.identity.pid, secrets)
    this.#throwIfCalledOff()
    const { identity, child, open } = await this.#place.spawn(role, term, port, secrets)
    const instance = new Instance({ identity, child, ...this.#instanceParts() })
    this.#hold(instance)
    this.#throwIfCalledOff()
    this.#books.open({ identity, role, term, port, secrets })
    this.#place.writeTerm(term)
    await Promise.race([beforeRun?.(identity), instance.gone])
    this.#throwIfCalledOff()
    if (this.#instance !== instance) throw refusal('its process was killed before it ran')
    const startedAtMono = this.#clock.mono()
    this.#books.change({ phase: 'open', startedAtMono })
    open()
    this.#standing.enter('running')
    inBackground(this.#wellness.begin(check, startedAtMono, HEALTH_AT_START), 'the first health check')
  }

  #throwIfCalledOff(): void {
    if (this.#farewell) throw refusal(this.#farewell.note)
  }

  async #stop(instance: Instance, settleMs: number, graceMs: number): Promise<void> {
    this.#beginEnd()
    if (!instance.hung) await Promise.race([sleep(this.#clock, settleMs), this.#untilOver()])
    if (this.#instance === instance) {
      const { stopSignal } = this.#place.options
      const overdue = `killed: it did not end within ${formatDuration(graceMs)} of ${stopSignal}`
      const ask = instance.ask(stopSignal, graceMs, () => this.#addToFarewell(overdue))
      inBackground(ask, 'asking an instance to end')
      await this.#untilOver()
    }
  }

  /** We are about to end it. Was it healthy until now? */
  #beginEnd(why = ''): void {
    if (this.#standing.state !== 'running') return
    const { health, stateForMs, note } = this.#standing.report()
    const slow = health === 'unknown' && stateForMs > this.#parts.service.timing.startWithinMs
    const unhealthy = slow || health === 'unhealthy'
    this.#farewell ??= unhealthy
      ? { planned: false, note: `ended because it was unhealthy: ${note || 'no check has come back'}` }
      : { planned: true, note: why }
    this.#standing.enter('stopping')
  }

  #addToFarewell(note: string): void {
    const { planned, note: before } = this.#farewell ?? { planned: true, note: '' }
    this.#farewell = { planned, note: before ? `${before}; ${note}` : note }
  }

  #instanceParts(): Omit<InstanceParts, 'identity' | 'child'> {
    return {
      clock: this.#clock,
      onHung: () => this.#wellness.say(),
      onEnded: () => this.#standing.enter('stopping'),
    }
  }

  #hold(instance: Instance): void {
    this.#instance = instance
    this.#over = instance.gone.then((ending) => {
      const record = this.#books.record
      const ranForMs = record ? this.#clock.mono() - record.startedAtMono : 0
      const { run, cwd } = this.#place.options
      const note = describeEnding(ending, run, ranForMs, cwd)
      this.#closeBooks(this.#farewell ?? this.#ownKill(ending, instance.identity) ?? { planned: false, note })
    })
    this.#stopLogWatch = keepLogWriter(this.#clock, this.#place.log)
  }

  /** A guard of ours that killed it had its reason, which is no failure of the program. */
  #ownKill(ending: Ending, identity: ProcessIdentity): Farewell | undefined {
    if (ending.seen === 'exit' && ending.signal !== 'SIGKILL') return undefined
    const note = this.#parts.killedByUs?.(identity)
    return note === undefined ? undefined : { planned: true, note }
  }

  /** Nothing of the instance is left. */
  #closeBooks({ planned, note }: Farewell): void {
    this.#wellness.end()
    this.#stopLogWatch()
    this.#instance = undefined
    guarded('removing the files of secrets', () => this.#place.removeSecrets())
    this.#books.close(note, !planned)
    this.#standing.feel('unknown', note)
    this.#standing.enter('stopped')
  }

  /** Ends what an earlier agent left: a gate that was never opened, or what remains of a group whose leader ended. */
  async #bury(record: InstanceRecord): Promise<void> {
    const present = processState(record.identity.pid)
    // The kernel gives a number out again only when no process, group or session has it: then nothing of ours is left.
    const reused = present !== undefined && present.startTime !== record.identity.startTime
    this.#standing.enter('stopping')
    if (!reused) await killRemains(record.identity.pid, this.#clock)
    if (record.phase === 'gated') this.#closeBooks({ planned: true, note: 'its agent ended before it ran' })
    else {
      const ours = this.#ownKill({ seen: 'gone' }, record.identity)
      this.#closeBooks(ours ?? { planned: false, note: 'ended while no agent watched' })
    }
  }

  #untilOver(): Promise<void> {
    const { signal } = this.#closed
    return new Promise((resolve, reject) => {
      const closed = () => reject(refusal('the driver was closed before it was over'))
      if (signal.aborted) closed()
      signal.addEventListener('abort', closed)
      inBackground(
        this.#over.then(resolve).finally(() => signal.removeEventListener('abort', closed)),
        'the end of an instance',
      )
    })
  }
}
