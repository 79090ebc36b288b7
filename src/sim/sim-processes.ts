/**
 * The made-up operating system of one node: its processes, which outlive the agent that started them. What runs here is the
 * truth that invariants are checked against; what drivers and agents believe comes later and may be wrong.
 *
 * A process is `gated` until it may run its first line, `open` while it runs (also while it is frozen or dying: it may
 * still write), and `dead` when nothing is left of it.
 */
import type { NodeName, Role, ServiceName, ServiceSpec, Term } from '../core/model.ts'
import type { Clock } from '../lib/clock.ts'
import type { ProcessIdentity } from '../lib/proc.ts'
import type { Random } from '../lib/random.ts'
import type { Stop } from '../lib/stop.ts'
import { FLAW_CRASH_MS, flawOf, LATE_FLAW_MS } from './made-up-version.ts'

/** How programs of one service behave on one node. Faults change it; each process follows what holds at the moment. */
export interface Habits {
  /** From its first line to its first good health. */
  bootMs: number
  /** From being asked to end to the end; a stubborn one never does. */
  endMs: number
  stubborn: boolean
  /** Answers its health checks badly. */
  unhealthy: boolean
  /** Ends by itself so long after its first line. */
  crashAfterMs: number | null
  /** Cannot be started: a missing file, a port that is taken. */
  refused: boolean
}

/** Share of ends that leave something of the group behind. */
const LEAVES_REMAINS = 0.25

export const GOOD_HABITS: Habits = {
  bootMs: 80,
  endMs: 20,
  stubborn: false,
  unhealthy: false,
  crashAfterMs: null,
  refused: false,
}

export interface Process {
  readonly node: NodeName
  readonly service: ServiceName
  readonly identity: ProcessIdentity
  /** What it was started from. */
  readonly spec: ServiceSpec
  role: Exclude<Role, 'none'>
  term: Term
  phase: 'gated' | 'open' | 'dead'
  frozen: boolean
  dying: boolean
  /** Its leader has ended and others of its group run on: they may still write, and must be killed. */
  headless: boolean
  openedAt: number
  /** How it ended, as a sentence. */
  ending: string
}

/** Told of whatever the invariants are about. */
export interface Watcher {
  changed(process: Process, what: 'open' | 'promoted' | 'dead' | 'frozen' | 'thawed'): void
}

export class Processes {
  readonly #node: NodeName
  readonly #clock: Clock
  readonly #random: Random
  readonly #watcher: Watcher
  readonly #habits = new Map<ServiceName, Habits>()
  readonly #alive = new Map<number, Process>()
  readonly #listeners = new Set<(process: Process) => void>()
  #nextPid = 100
  /** How long the kernel takes to end a killed process, at most. */
  killWithinMs = 20
  /** A driver can write nothing down, so it begins nothing. */
  diskFull = false

  constructor(parts: { node: NodeName; clock: Clock; random: Random; watcher: Watcher }) {
    this.#node = parts.node
    this.#clock = parts.clock
    this.#random = parts.random
    this.#watcher = parts.watcher
  }

  habitsOf(service: ServiceName): Habits {
    const known = this.#habits.get(service)
    if (known) return known
    const habits = { ...GOOD_HABITS }
    this.#habits.set(service, habits)
    return habits
  }

  /** Whatever is left of a service here; there is at most one that is not dying. */
  of(service: ServiceName): Process | undefined {
    let found: Process | undefined
    for (const process of this.#alive.values()) {
      if (process.service === service && (!found || found.dying)) found = process
    }
    return found
  }

  all(): Process[] {
    return [...this.#alive.values()]
  }

  find(identity: ProcessIdentity): Process | undefined {
    const process = this.#alive.get(identity.pid)
    return process?.identity.startTime === identity.startTime ? process : undefined
  }

  spawn(spec: ServiceSpec, role: Exclude<Role, 'none'>, term: Term): Process {
    const identity = { pid: this.#nextPid++, startTime: Math.floor(this.#clock.mono()) }
    const process: Process = {
      node: this.#node,
      service: spec.name,
      identity,
      spec,
      role,
      term,
      phase: 'gated',
      frozen: false,
      dying: false,
      headless: false,
      openedAt: 0,
      ending: '',
    }
    this.#alive.set(identity.pid, process)
    return process
  }

  /** Lets it run its first line. */
  open(process: Process): void {
    if (process.phase !== 'gated' || process.dying) return
    process.phase = 'open'
    process.openedAt = this.#clock.mono()
    this.#tell(process, 'open')
    const { bootMs } = this.habitsOf(process.service)
    this.#clock.after(bootMs, () => this.#hint(process))
    const flaw = flawOf(process.spec)
    if (flaw === 'crashes') this.#endLater(process, FLAW_CRASH_MS, 'ended with code 1', () => true)
    if (flaw === 'late') this.#clock.after(LATE_FLAW_MS, () => this.#hint(process))
    this.followHabits(process.service)
  }

  /** By the version that it runs. */
  isFlawed(process: Process): boolean {
    const flaw = flawOf(process.spec)
    return flaw === 'never healthy' || (flaw === 'late' && this.#clock.mono() - process.openedAt >= LATE_FLAW_MS)
  }

  promote(process: Process, term: Term): void {
    process.role = 'primary'
    process.term = term
    this.#tell(process, 'promoted')
  }

  /** SIGTERM. */
  terminate(process: Process): void {
    const { endMs, stubborn } = this.habitsOf(process.service)
    if (!stubborn) this.#endLater(process, endMs, 'ended with code 0', () => !process.frozen)
  }

  /** SIGKILL of the whole group. It takes a moment, and until then it may still write. */
  kill(process: Process, ending = 'killed by SIGKILL'): void {
    if (process.dying || process.phase === 'dead') return
    process.dying = true
    this.#endLater(process, this.killWithinMs * this.#random(), ending, () => true)
  }

  freeze(process: Process): void {
    if (process.frozen || process.phase === 'dead') return
    process.frozen = true
    this.#tell(process, 'frozen')
  }

  thaw(process: Process): void {
    if (!process.frozen || process.phase === 'dead') return
    process.frozen = false
    this.#tell(process, 'thawed')
  }

  /** Its leader ends by itself; now and then something that it had started is left behind. */
  fail(process: Process, ending: string): void {
    if (process.phase === 'dead' || process.headless) return
    if (process.dying || this.#random() >= LEAVES_REMAINS) return this.crash(process, ending)
    process.headless = true
    process.ending = ending
    this.#hint(process)
  }

  /** Nothing is left of it, now. */
  crash(process: Process, ending = 'ended with code 1'): void {
    if (process.phase === 'dead') return
    process.phase = 'dead'
    process.ending = ending
    this.#alive.delete(process.identity.pid)
    this.#tell(process, 'dead')
  }

  /** The node loses power: nothing is left. */
  powerOff(): void {
    for (const process of this.all()) this.crash(process, 'its node died')
  }

  isHealthy(process: Process): boolean {
    const { bootMs, unhealthy } = this.habitsOf(process.service)
    return (
      process.phase === 'open' &&
      !process.frozen &&
      !process.dying &&
      !process.headless &&
      !unhealthy &&
      !this.isFlawed(process) &&
      this.isBooted(process, bootMs)
    )
  }

  isBooted(process: Process, bootMs = this.habitsOf(process.service).bootMs): boolean {
    return this.#clock.mono() - process.openedAt >= bootMs
  }

  /** Habits of a service changed: what runs of it follows them. */
  followHabits(service: ServiceName): void {
    for (const process of this.#alive.values()) {
      if (process.service !== service || process.phase !== 'open') continue
      const { crashAfterMs } = this.habitsOf(service)
      if (crashAfterMs !== null)
        this.#endLater(process, crashAfterMs, 'ended with code 1', () => this.habitsOf(service).crashAfterMs !== null)
      this.#hint(process)
    }
  }

  /** Calls `listener` when something about a process is different; drivers notice it some time later. */
  onChange(listener: (process: Process) => void): Stop {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  #endLater(process: Process, delayMs: number, ending: string, still: () => boolean): void {
    this.#clock.after(delayMs, () => {
      if (!still()) return
      if (process.dying) this.crash(process, process.headless ? process.ending : ending)
      else this.fail(process, ending)
    })
  }

  #tell(process: Process, what: Parameters<Watcher['changed']>[1]): void {
    this.#watcher.changed(process, what)
    this.#hint(process)
  }

  #hint(process: Process): void {
    for (const listener of [...this.#listeners]) listener(process)
  }
}
