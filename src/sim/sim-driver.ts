/**
 * The driver behind the made-up processes: keeps the contract of the port as the process driver does, with everything that
 * it learns arriving late and through its agent's gate. What must outlive the agent is in `Books`, the node's disk.
 */
import type { InstanceReport, ServiceSpec, Term } from '../core/model.ts'
import type { Driver, StartRequest } from '../drivers/driver.ts'
import { notStarted, refusal } from '../drivers/driver-refusal.ts'
import { forgivenAfterMs, restartWaitMs } from '../drivers/restart-backoff.ts'
import type { Cancel, Clock } from '../lib/clock.ts'
import type { ProcessIdentity } from '../lib/proc.ts'
import type { Random } from '../lib/random.ts'
import type { Stop } from '../lib/stop.ts'
import type { Gate } from './gate.ts'
import { outdatedSince } from './made-up-version.ts'
import type { Process, Processes } from './sim-processes.ts'

/** What a driver writes down on its node's disk. */
export interface Books {
  identity: ProcessIdentity | null
  port: number
  /** Of the last run, kept after its end. */
  term: Term
  failures: number
  retryAt: number
  note: string
  /** What the last run was started from. */
  startedFrom: ServiceSpec | null
}

export function newBooks(port: number): Books {
  return { identity: null, port, term: 0, failures: 0, retryAt: 0, note: '', startedFrom: null }
}

export interface SimDriverParts {
  readonly service: ServiceSpec
  readonly processes: Processes
  readonly books: Books
  readonly gate: Gate
  /** The node's, through the gate. */
  readonly clock: Clock
  readonly random: Random
}

const FORK_MS = 3
const NOTICE_EXIT_MS = 15
const NOTICE_HANG_MS = 50

export class SimDriver implements Driver {
  readonly #parts: SimDriverParts
  readonly #listeners = new Set<() => void>()
  #state: InstanceReport['state'] = 'stopped'
  #stateSince: number
  #health: InstanceReport['health'] = 'unknown'
  #healthSince: number
  #hung = false
  #note = ''
  #process: Process | null = null
  /** Set when the end was asked for by us: was it healthy until then? */
  #farewell: { readonly planned: boolean } | null = null
  #whenGone: (() => void)[] = []
  #unwatch: Stop = () => undefined
  #forgive: Cancel | null = null

  constructor(parts: SimDriverParts) {
    this.#parts = parts
    this.#stateSince = parts.clock.mono()
    this.#healthSince = this.#stateSince
  }

  observe(): InstanceReport {
    const { service, books, clock } = this.#parts
    const now = clock.mono()
    const process = this.#process
    const outdated = outdatedSince(books.startedFrom, service)
    return {
      service: service.name,
      role: process && this.#state !== 'stopped' ? process.role : 'none',
      state: this.#state,
      health: this.#health,
      note: this.#note,
      healthForMs: now - this.#healthSince,
      stateForMs: now - this.#stateSince,
      hung: this.#hung,
      term: process ? process.term : books.term,
      failures: books.failures,
      retryInMs: Math.max(0, books.retryAt - now),
      ...(process && outdated && { outdated: { ...outdated, needs: 'restart' as const } }),
      ...(process && { pid: process.identity.pid, startTime: process.identity.startTime, port: books.port }),
    }
  }

  async start({ role, term, beforeRun }: StartRequest): Promise<void> {
    const { service, processes, books } = this.#parts
    if (this.#state === 'running' && this.#process?.role === role && this.#process.term === term) return
    if (this.#state !== 'stopped') throw refusal(`it is ${this.#state} here`)
    this.#farewell = null
    this.#feel('unknown', '')
    this.#enter('starting')
    await this.#pass(FORK_MS)
    if (this.#farewell) return this.#callOff('called off before it ran', false)
    if (processes.diskFull) return this.#callOff('not started: no space left on device', true)
    if (processes.habitsOf(service.name).refused) return this.#callOff('not started: command not found', true)
    const process = processes.spawn(service, role, term)
    Object.assign(books, { identity: process.identity, term, retryAt: 0, startedFrom: service })
    this.#hold(process)
    try {
      await beforeRun?.(process.identity)
    } catch (cause) {
      const error = notStarted(cause)
      processes.kill(process, error.message)
      await this.#gone()
      throw error
    }
    if (process.dying || this.#process !== process) {
      await this.#gone()
      throw refusal('its process was killed before it ran')
    }
    processes.open(process)
    this.#enter('running')
  }

  async promote(term: Term): Promise<void> {
    const { processes, books } = this.#parts
    const process = this.#process
    if (this.#state !== 'running' || !process) throw refusal('nothing runs here to be promoted')
    if (process.term > term) throw refusal(`it has term ${process.term} already`)
    if (process.role === 'primary' && process.term === term) return
    if (processes.diskFull) throw refusal('no space left on device')
    books.term = term // written before it is told, as a real one must
    await this.#pass(2)
    if (this.#process !== process || process.phase === 'dead') throw refusal('the standby ended before it was told')
    processes.promote(process, term)
    this.#tell()
  }

  async stop({ settleMs, graceMs }: { readonly settleMs: number; readonly graceMs: number }): Promise<void> {
    const { processes } = this.#parts
    const process = this.#process
    if (this.#state === 'starting' || !process) return this.kill()
    const alreadyAsked = this.#state === 'stopping'
    this.#beginEnd()
    if (!alreadyAsked) {
      if (!this.#hung) await this.#pass(settleMs)
      processes.terminate(process)
      this.#parts.clock.after(graceMs, () => processes.kill(process))
    }
    await this.#gone()
  }

  async kill(): Promise<void> {
    if (this.#state === 'stopped') return
    this.#beginEnd()
    if (this.#process) this.#parts.processes.kill(this.#process)
    await this.#gone()
  }

  async adopt(): Promise<void> {
    const { books, processes } = this.#parts
    if (books.identity === null) {
      if (this.#startsAnew()) Object.assign(books, { failures: 0, retryAt: 0 })
      this.#note = books.note
      return
    }
    const process = processes.find(books.identity)
    if (process?.phase === 'open' && !process.headless && !process.dying) {
      this.#hold(process)
      this.#enter('running')
      this.#look(process)
      return
    }
    const ran = process?.phase !== 'gated'
    if (process) await this.#bury(process) // a gate whose agent died never opens, and remains must go
    this.#close(ran ? 'ended while no agent watched' : 'its agent ended before it ran', ran)
  }

  #bury(process: Process): Promise<void> {
    const { gate, processes } = this.#parts
    processes.kill(process)
    return gate.promise((resolve) => {
      const stop = processes.onChange(() => {
        if (process.phase !== 'dead') return
        stop()
        resolve()
      })
      if (process.phase === 'dead') resolve()
    })
  }

  onChange(changed: () => void): Stop {
    const listener = () => changed()
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  async close(): Promise<void> {
    this.letGo()
  }

  letGo(): void {
    this.#unwatch()
    this.#process = null // a notice that is under way is of no interest any more
  }

  #beginEnd(): void {
    if (this.#state === 'stopping') return
    const unhealthy = this.#health === 'unhealthy' || this.#hung
    this.#farewell ??= { planned: !unhealthy }
    if (this.#state === 'running') this.#enter('stopping')
  }

  #hold(process: Process): void {
    const { processes, gate, random, service } = this.#parts
    this.#process = process
    const notice = (late: number) => gate.after(late, () => this.#look(process))
    this.#unwatch = processes.onChange((changed) => {
      if (changed !== process) return
      if (process.phase === 'dead' || process.headless) notice(NOTICE_EXIT_MS * (0.2 + random()))
      else if (process.frozen !== this.#hung) notice(NOTICE_HANG_MS * random())
      else notice(service.timing.probeEveryMs * random())
    })
  }

  #look(process: Process): void {
    if (this.#process !== process) return
    if (process.phase === 'dead') return this.#ended(process)
    const { processes } = this.#parts
    if (process.headless) return this.#killRemains(process)
    this.#hung = process.frozen
    if (process.frozen) this.#feel('unhealthy', 'stopped by a signal (SIGSTOP)')
    else if (processes.isHealthy(process)) this.#feel('healthy', '')
    else if (this.#health !== 'unknown' || processes.isBooted(process)) this.#feel('unhealthy', 'HTTP 503')
    this.#tell()
  }

  /** What a dead leader leaves behind must not write either; it is gone when it is gone. */
  #killRemains(process: Process): void {
    this.#enter('stopping')
    this.#parts.processes.kill(process)
  }

  #ended(process: Process): void {
    const planned = this.#farewell?.planned ?? false
    this.#unwatch()
    this.#close(planned ? '' : process.ending, !planned)
  }

  #callOff(note: string, failed: boolean): never {
    this.#close(note, failed)
    throw refusal(note)
  }

  #close(note: string, failed: boolean): void {
    const { books, clock, random } = this.#parts
    this.#process = null
    this.#hung = false
    if (failed) books.failures += 1
    const waitMs = failed ? restartWaitMs(books.failures, random) : 0
    const isNew = this.#startsAnew()
    if (isNew) books.failures = 0
    Object.assign(books, { identity: null, note, retryAt: failed && !isNew ? clock.mono() + waitMs : 0 })
    this.#feel('unknown', note)
    this.#enter('stopped')
    for (const resolve of this.#whenGone.splice(0)) resolve()
    this.#tell()
  }

  /** What another version did does not count against the next one. */
  #startsAnew(): boolean {
    const { books, service } = this.#parts
    return outdatedSince(books.startedFrom, service) !== undefined
  }

  #gone(): Promise<void> {
    if (this.#state === 'stopped') return Promise.resolve()
    return new Promise((resolve) => this.#whenGone.push(resolve))
  }

  #pass(ms: number): Promise<void> {
    const { clock, random } = this.#parts
    return new Promise((resolve) => clock.after(ms * (0.5 + random()), resolve))
  }

  #enter(state: InstanceReport['state']): void {
    if (state === this.#state) return
    this.#state = state
    this.#stateSince = this.#parts.clock.mono()
    this.#tell()
  }

  #feel(health: InstanceReport['health'], note: string): void {
    const { clock, books } = this.#parts
    if (health !== this.#health) this.#healthSince = clock.mono()
    this.#health = health
    this.#note = note
    if (health !== 'healthy') {
      this.#forgive?.()
      this.#forgive = null
    } else if (books.failures > 0) {
      this.#forgive ??= clock.after(forgivenAfterMs(books.failures), () => {
        books.failures = 0
        this.#forgive = null
      })
    }
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener()
  }
}
