/**
 * A driver in memory: for tests, for users' own tests, and for the simulator. It keeps the whole contract of the port
 * (driver-contract.ts is run on it) on whatever clock it is given, and lets a test decide what a real process would decide:
 * when it is well, when it hangs, when it ends.
 *
 * What it runs lives in a FakePlace and outlives the driver, as processes outlive their agent: a second driver on the same
 * place adopts it.
 */

import type { InstanceReport, Role, ServiceName, Term } from '../core/model.ts'
import { inBackground } from '../lib/background.ts'
import { type Cancel, type Clock, sleep } from '../lib/clock.ts'
import type { ProcessIdentity } from '../lib/proc.ts'
import type { Random } from '../lib/random.ts'
import type { Stop } from '../lib/stop.ts'
import type { Driver, StartRequest } from './driver.ts'
import { notStarted, refusal } from './driver-refusal.ts'
import { forgivenAfterMs, restartWaitMs } from './restart-backoff.ts'

type Health = InstanceReport['health']

export interface FakeOptions {
  readonly service: ServiceName
  readonly port: number
  /** From the opening of the gate to the first good health. */
  readonly healthyAfterMs: number
  /** From being asked to end to the end. Larger than the grace: it ignores the asking. */
  readonly endsAfterMs: number
  readonly random: Random
}

/** What outlives the driver: the process, if any, and what is known of those before it. */
export class FakePlace {
  process: FakeProcess | undefined
  failures = 0
  retryAtMono = 0
  note = ''
  /** Of the run that is on, or of the last one. */
  lastTerm: Term = 0
  #nextPid = 100
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  spawn(role: Exclude<Role, 'none'>, term: Term): FakeProcess {
    this.process = new FakeProcess(this.#clock, this.#nextPid++, role, term)
    this.lastTerm = term
    return this.process
  }
}

export class FakeProcess {
  readonly identity: ProcessIdentity
  readonly startedAtMono: number
  role: Exclude<Role, 'none'>
  term: Term
  opened = false
  hung = false
  health: Health = 'unknown'
  healthNote = ''
  ended = false
  readonly #listeners = new Set<() => void>()

  constructor(clock: Clock, pid: number, role: Exclude<Role, 'none'>, term: Term) {
    this.identity = { pid, startTime: Math.floor(clock.mono()) }
    this.startedAtMono = clock.mono()
    this.role = role
    this.term = term
  }

  /** Changes what a watcher can see. */
  change(change: Partial<Pick<FakeProcess, 'opened' | 'hung' | 'health' | 'healthNote' | 'ended'>>): void {
    if (this.ended) return
    Object.assign(this, change)
    for (const listener of [...this.#listeners]) listener()
  }

  watch(listener: () => void): Stop {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }
}

export class FakeDriver implements Driver {
  readonly #options: FakeOptions
  readonly #place: FakePlace
  readonly #clock: Clock
  readonly #listeners = new Set<() => void>()
  #state: InstanceReport['state'] = 'stopped'
  #stateSince: number
  #health: Health = 'unknown'
  #healthSince: number
  #note = ''
  #planned: boolean | undefined
  #unwatch: Stop = () => {}
  #timers: Cancel[] = []
  #starting = false

  constructor(clock: Clock, place: FakePlace, options: FakeOptions) {
    this.#clock = clock
    this.#place = place
    this.#options = options
    this.#stateSince = clock.mono()
    this.#healthSince = clock.mono()
  }

  observe(): InstanceReport {
    const process = this.#present()
    const now = this.#clock.mono()
    return {
      service: this.#options.service,
      state: this.#state,
      stateForMs: now - this.#stateSince,
      health: this.#health,
      healthForMs: now - this.#healthSince,
      note: this.#note,
      hung: process?.hung ?? false,
      failures: this.#place.failures,
      retryInMs: Math.max(0, this.#place.retryAtMono - now),
      role: process?.role ?? 'none',
      term: process?.term ?? this.#place.lastTerm,
      ...(process ? { pid: process.identity.pid, port: this.#options.port } : {}),
    }
  }

  async start({ role, term, beforeRun }: StartRequest): Promise<void> {
    const present = this.#present()
    if (this.#state === 'running' && present?.role === role && present.term === term) return
    if (this.#state !== 'stopped') throw refusal(`it is ${this.#state} as ${present?.role} here`)
    this.#planned = undefined
    this.#note = ''
    const process = this.#place.spawn(role, term)
    this.#place.retryAtMono = 0
    this.#starting = true
    this.#enter('starting')
    this.#hold(process)
    try {
      await beforeRun?.(process.identity)
    } catch (cause) {
      const error = notStarted(cause)
      this.#note = error.message
      process.change({ ended: true })
      throw error
    } finally {
      this.#starting = false
    }
    if (process.ended) throw refusal('its process was killed before it ran')
    process.change({ opened: true })
    this.#enter('running')
    this.#clock.after(this.#options.healthyAfterMs, () => {
      if (process.health === 'unknown') process.change({ health: 'healthy' })
    })
  }

  async promote(term: Term): Promise<void> {
    const process = this.#present()
    if (this.#state !== 'running' || !process) throw refusal('nothing runs here to be promoted')
    if (process.role === 'active') throw refusal('an active instance has no primary to become')
    if (process.term > term) throw refusal(`it has term ${process.term} already, which is higher than ${term}`)
    process.role = 'primary'
    process.term = term
    this.#place.lastTerm = term
    this.#tell()
  }

  async stop(request: { readonly settleMs: number; readonly graceMs: number }): Promise<void> {
    const process = this.#present()
    if (!process) return
    if (this.#starting) return this.kill()
    this.#beginEnd()
    if (!process.hung) {
      await untilEnded(this.#clock, process, request.settleMs)
      await untilEnded(this.#clock, process, Math.min(this.#options.endsAfterMs, request.graceMs))
    }
    process.change({ ended: true })
  }

  async kill(): Promise<void> {
    this.#beginEnd()
    this.#present()?.change({ ended: true })
  }

  async adopt(): Promise<void> {
    const process = this.#place.process
    if (process && !process.opened) process.change({ ended: true }) // a gate whose agent died never opens
    if (!process || process.ended) {
      this.#note = this.#place.note
      if (process && !process.opened) this.#place.process = undefined
      else if (process) this.#bury('ended while no agent watched', true)
      return
    }
    this.#state = 'running'
    this.#stateSince = process.startedAtMono
    this.#hold(process)
    this.#look(process)
  }

  onChange(changed: () => void): Stop {
    const listener = () => changed()
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  async close(): Promise<void> {
    this.#letGo()
  }

  #present(): FakeProcess | undefined {
    return this.#state === 'stopped' ? undefined : this.#place.process
  }

  #beginEnd(): void {
    if (this.#state === 'stopped' || this.#state === 'stopping') return
    this.#planned ??= this.#health !== 'unhealthy'
    this.#enter('stopping')
  }

  #hold(process: FakeProcess): void {
    this.#unwatch = process.watch(() => this.#look(process))
  }

  #look(process: FakeProcess): void {
    if (process.ended) this.#bury(this.#planned ? '' : this.#note || 'ended by itself', !this.#planned)
    else if (process.hung) this.#feel('unhealthy', 'stopped by a signal (SIGSTOP)')
    else this.#feel(process.health, process.healthNote)
  }

  #bury(note: string, failed: boolean): void {
    this.#letGo()
    const place = this.#place
    place.process = undefined
    if (failed) place.failures += 1
    place.retryAtMono = failed ? this.#clock.mono() + restartWaitMs(place.failures, this.#options.random) : 0
    place.note = note
    this.#feel('unknown', note)
    this.#enter('stopped')
  }

  #feel(health: Health, note: string): void {
    if (health === this.#health && note === this.#note) return
    if (health !== this.#health) this.#healthSince = this.#clock.mono()
    this.#health = health
    this.#note = note
    for (const cancel of this.#timers.splice(0)) cancel()
    if (health === 'healthy') {
      const forgive = () => {
        this.#place.failures = 0
      }
      this.#timers.push(this.#clock.after(forgivenAfterMs(this.#place.failures), forgive))
    }
    this.#tell()
  }

  #enter(state: InstanceReport['state']): void {
    if (state === this.#state) return
    this.#state = state
    this.#stateSince = this.#clock.mono()
    this.#tell()
  }

  #letGo(): void {
    this.#unwatch()
    for (const cancel of this.#timers.splice(0)) cancel()
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener()
  }
}

/** Resolves when the process has ended, or after `ms`. */
function untilEnded(clock: Clock, process: FakeProcess, ms: number): Promise<void> {
  if (process.ended) return Promise.resolve()
  return new Promise((resolve) => {
    const done = () => {
      unwatch()
      resolve()
    }
    const unwatch = process.watch(() => process.ended && done())
    inBackground(sleep(clock, ms).then(done), 'a wait')
  })
}
