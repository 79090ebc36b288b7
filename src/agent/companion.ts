/**
 * A process of our own that stands beside the agent and outlives it: the balancer and the fence. The agent checks that
 * one is there, finds the one that an earlier agent started, and starts another when it died. Identity files say which
 * process it is, so that neither a foreign process with the same pid nor a second instance is ever taken for it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { guarded } from '../lib/background.ts'
import { backoffMs } from '../lib/backoff.ts'
import type { Cancel, Clock } from '../lib/clock.ts'
import { writeFileAtomic } from '../lib/files.ts'
import { readIdentityFile } from '../lib/identity-file.ts'
import { identify, isAlive, livingState, type ProcessIdentity, signal } from '../lib/proc.ts'
import { isStopped, StoppedSpell } from '../lib/stopped-spell.ts'
import { superviseLoop } from '../lib/supervised-loop.ts'

/** Between two looks. The exit of a child is told by the kernel at once; of one that an earlier agent started it is not. */
const POLL_CHILD_MS = 100
const POLL_ADOPTED_MS = 50
const RESTART = { firstMs: 100, mostMs: 5_000 }
/** After this long without dying, earlier deaths are forgotten. */
const STEADY_MS = 10_000

export interface CompanionOptions {
  readonly name: string
  readonly script: string
  readonly args: readonly string[]
  readonly nodeArgs: readonly string[]
  readonly identityFile: string
  readonly logFile: string
  readonly clock: Clock
  /** Told when it was started (again), with a sentence. */
  onStart(why: string): void
}

export class Companion {
  readonly #options: CompanionOptions
  #identity: ProcessIdentity | null = null
  #deaths = 0
  #startedAt = 0
  #isChild = false
  #cancel: Cancel = () => undefined
  #stopped = new StoppedSpell()
  #wasStuck = false
  #closed = false

  constructor(options: CompanionOptions) {
    this.#options = options
  }

  get pid(): number | null {
    return this.#identity?.pid ?? null
  }

  /** Adopts the one that is there or starts one; from then on sees that one is there. */
  start(): void {
    const saved = this.#saved()
    if (saved && isAlive(saved)) this.#identity = saved
    else this.#spawn(`the ${this.#options.name} was started`)
    this.#watch()
  }

  /** Starts the program of this version as the present one's successor; `more`: how it is told so. */
  successorCommand(more: string): { readonly program: string; readonly args: readonly string[] } {
    const { script, args, nodeArgs } = this.#options
    return { program: process.execPath, args: [...nodeArgs, script, ...args, more] }
  }

  /** Starts one of this version, which ends the present one when it can take its place; the look finds it then. */
  replace(more: string): void {
    const { program, args } = this.successorCommand(more)
    const log = openSync(this.#options.logFile, 'a', 0o600)
    const child = spawn(program, args, { detached: true, stdio: ['ignore', log, log] })
    closeSync(log)
    child.on('error', () => undefined) // tried again later
    child.unref()
  }

  /** Another process has taken over and has written down which it is. */
  adoptSuccessor(): void {
    const saved = this.#saved()
    if (!saved || !isAlive(saved) || saved.pid === this.#identity?.pid) return
    this.#identity = saved
    this.#isChild = false
    this.#stopped = new StoppedSpell()
    this.#startedAt = this.#options.clock.mono()
    this.#options.onStart(`the ${this.#options.name} was replaced by one of another version`)
  }

  /** Stops watching; the process goes on. */
  close(): void {
    this.#closed = true
    this.#cancel()
  }

  /** Ends the process for good. It may take its time; until it is gone its file says which process it is. */
  end(): void {
    this.close()
    if (this.#identity) signal(this.#identity, 'SIGTERM')
  }

  /** A file that cannot be used is no reason to go without: where one answers on the socket, a second one ends by itself. */
  #saved(): ProcessIdentity | undefined {
    try {
      return readIdentityFile(this.#options.identityFile)
    } catch (error) {
      this.#options.onStart((error as Error).message)
      return undefined
    }
  }

  #spawn(why: string): void {
    const log = openSync(this.#options.logFile, 'a', 0o600)
    const { name, script, args, nodeArgs, identityFile, clock } = this.#options
    const child: ChildProcess = spawn(process.execPath, [...nodeArgs, script, ...args], {
      detached: true,
      stdio: ['ignore', log, log],
    })
    closeSync(log)
    child.on('error', () => undefined) // no pid then: the next look tries again
    child.on('exit', () => guarded(`the look at the ${name}`, () => this.#look()))
    child.unref()
    this.#isChild = true
    this.#startedAt = clock.mono()
    this.#stopped = new StoppedSpell()
    this.#identity = (child.pid !== undefined && identify(child.pid)) || null
    if (this.#identity) writeFileAtomic(identityFile, JSON.stringify(this.#identity))
    this.#options.onStart(why)
  }

  #watch(): void {
    if (this.#closed) return
    const { clock, name } = this.#options
    const everyMs = () => (this.#isChild ? POLL_CHILD_MS : POLL_ADOPTED_MS)
    const work = () => this.#look()
    this.#cancel = superviseLoop({ clock, what: `the look at the ${name}`, everyMs, isAligned: true, work }).stop
  }

  /** Is it there and not stopped by a signal? A stopped one does not answer: it is killed, and another one started. */
  #works(identity: ProcessIdentity): boolean {
    const state = livingState(identity)
    if (!state) return false
    const isStuck = this.#stopped.sighting(isStopped(state), this.#options.clock.mono())
    if (isStuck) signal(identity, 'SIGKILL')
    this.#wasStuck ||= isStuck === true
    return !isStuck
  }

  #look(): void {
    if (this.#closed || (this.#identity && this.#works(this.#identity))) return
    if (this.#identity) this.adoptSuccessor() // it may have ended because another one has taken over
    if (this.#identity && isAlive(this.#identity)) return
    const { clock, name } = this.#options
    const sinceStartMs = clock.mono() - this.#startedAt
    if (this.#identity) this.#deaths = sinceStartMs > STEADY_MS ? 1 : this.#deaths + 1
    this.#identity = null
    if (this.#deaths > 1 && sinceStartMs < backoffMs(this.#deaths - 1, RESTART)) return
    const fate = this.#wasStuck ? 'was stopped by a signal and was killed' : 'had died'
    this.#wasStuck = false
    this.#spawn(`the ${name} ${fate} and was started again`)
  }
}
