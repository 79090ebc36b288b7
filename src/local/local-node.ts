/**
 * One node of a cluster on this machine: sees that its agent is there. What the agent started is the agent's business and
 * outlives both the agent and us.
 *
 * An agent that died is started again at once, and if it dies again, after a pause that grows. An agent that ended by
 * itself (exit code 0) was told to, and stays away. An agent that an earlier `up` started is taken over: it is no child of
 * ours, so we cannot hear it exit, but look for it many times a second.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { NodeName } from '../core/model.ts'
import { backoffMs } from '../lib/backoff.ts'
import type { Cancel, Clock } from '../lib/clock.ts'
import { readTail } from '../lib/files.ts'
import { readIdentityFile } from '../lib/identity-file.ts'
import { identify, isAlive, livingState, type ProcessIdentity, signal } from '../lib/proc.ts'
import { isStopped, StoppedSpell } from '../lib/stopped-spell.ts'
import { superviseLoop } from '../lib/supervised-loop.ts'
import { NODE_FOLDER_MARK } from './marked-processes.ts'
import { killProcesses, type NodeProcess, noteAgent } from './node-processes.ts'

/** `down`: no agent is wanted here. `waiting`: it died and is restarted soon. `ended`: it was told to end, and did. */
export type NodePhase = 'down' | 'running' | 'waiting' | 'ended'

export interface LocalEvent {
  readonly at: string
  readonly node: NodeName
  readonly what: 'agent-started' | 'agent-adopted' | 'agent-frozen' | 'agent-died' | 'agent-ended' | 'node-killed'
  /** A sentence. */
  readonly why: string
  readonly pid: number | null
}

export interface LocalNodeOptions {
  readonly name: NodeName
  readonly folder: string
  /** Program and arguments of the agent. */
  readonly command: readonly string[]
  readonly clock: Clock
  readonly tell: (event: LocalEvent) => void
}

const LOOK_EVERY_MS = 30
const RESTART = { firstMs: 200, mostMs: 5_000 }
/** An agent that lived this long was healthy: its next end is a new trouble, not the old one. */
const STEADY_MS = 3_000
const MOST_LOG_BYTES = 10 * 1024 * 1024

export class LocalNode {
  readonly name: NodeName
  readonly #options: LocalNodeOptions
  #phase: NodePhase = 'down'
  #agent: ProcessIdentity | undefined
  #startedAt = 0
  #deaths = 0
  #cancel: Cancel = () => {}

  constructor(options: LocalNodeOptions) {
    this.name = options.name
    this.#options = options
  }

  get phase(): NodePhase {
    return this.#phase
  }

  get agent(): ProcessIdentity | undefined {
    return this.#agent
  }

  /** Takes over the agent that is there, or starts one. Without effect when one is looked after already. */
  start(): void {
    if (this.#phase === 'running' || this.#phase === 'waiting') return
    this.#deaths = 0
    this.#begin()
  }

  /** SIGKILL for the agent alone; it is started again. False when there is none. */
  killAgent(): boolean {
    return this.#agent !== undefined && signal(this.#agent, 'SIGKILL')
  }

  /** SIGKILL for everything of this node at once, as if its plug were pulled. It stays down until `start`. */
  async kill(): Promise<NodeProcess[]> {
    this.letGo()
    const killed = await killProcesses(this.#options.folder)
    this.#tell('node-killed', `killed ${killed.map(({ what }) => what).join(', ') || 'nothing: nothing ran'}`, null)
    return killed
  }

  /** Looks after nothing any more. What runs goes on running. */
  letGo(): void {
    this.#cancel()
    this.#phase = 'down'
    this.#agent = undefined
  }

  #begin(): void {
    try {
      const found = readIdentityFile(join(this.#options.folder, 'agent.json'))
      if (found && isAlive(found)) this.#adopt(found)
      else this.#spawn()
    } catch (error) {
      this.#died(`could not be looked for or started: ${(error as Error).message}`, null) // a file, a disk: tried again
    }
  }

  #adopt(agent: ProcessIdentity): void {
    this.#lookAfter(agent)
    this.#tell('agent-adopted', 'its agent was running and is looked after again', agent.pid)
    this.#watch(agent, () => this.#gone(agent, this.#leftOnPurpose() ? 0 : null, null))
  }

  /**
   * Looks at an agent many times a second. One that was stopped by a signal is killed and started again: that harms nothing
   * that it looks after, while a stopped one may hold the lock of the store and keep every other agent from it.
   */
  #watch(agent: ProcessIdentity, onGone: () => void): void {
    const stopped = new StoppedSpell()
    let cancel: Cancel = () => {}
    const look = () => {
      const state = livingState(agent)
      if (!state) {
        cancel()
        return onGone()
      }
      if (stopped.sighting(isStopped(state), this.#options.clock.mono())) {
        this.#tell('agent-frozen', 'its agent was stopped by a signal and is killed', agent.pid)
        signal(agent, 'SIGKILL')
      }
    }
    const what = `the look at the agent of ${this.name}`
    cancel = superviseLoop({ clock: this.#options.clock, what, everyMs: LOOK_EVERY_MS, firstMs: 0, work: look }).stop
    this.#cancel = cancel
  }

  #spawn(): void {
    const [program = '', ...args] = this.#options.command
    const log = openLog(this.#options.folder)
    const env = { ...process.env, [NODE_FOLDER_MARK]: this.#options.folder }
    const child: ChildProcess = spawn(program, args, { detached: true, stdio: ['ignore', log, log], env })
    closeSync(log) // the child has its own descriptor
    child.unref()
    const agent = child.pid === undefined ? undefined : identify(child.pid)
    if (!agent) {
      // It was gone before it could be looked at, or could not be started at all: both arrive as an event of the child.
      child.once('error', (error) => this.#died(`could not be started: ${error.message}`, null))
      child.once('exit', (code, name) => this.#ended(code, name, child.pid ?? null))
      return
    }
    noteAgent(this.#options.folder, agent)
    this.#lookAfter(agent)
    this.#tell('agent-started', this.#deaths === 0 ? 'its agent was started' : 'its agent was started again', agent.pid)
    child.once('exit', (code, name) => this.#gone(agent, code, name))
    this.#watch(agent, () => undefined) // the child's exit says more than that it is gone
  }

  #lookAfter(agent: ProcessIdentity): void {
    this.#phase = 'running'
    this.#agent = agent
    this.#startedAt = this.#options.clock.mono()
  }

  /** News of an agent that we no longer look after is no news. */
  #gone(agent: ProcessIdentity, code: number | null, name: NodeJS.Signals | null): void {
    if (this.#agent === agent) this.#ended(code, name, agent.pid)
  }

  #ended(code: number | null, name: NodeJS.Signals | null, pid: number | null): void {
    if (code !== 0) {
      this.#died(
        name ? `ended with ${name}` : code === null ? 'ended' : `ended with exit code ${code}`,
        pid,
        code !== null,
      )
      return
    }
    this.#phase = 'ended'
    this.#agent = undefined
    this.#tell('agent-ended', 'its agent ended, as it was told to', pid)
  }

  #died(how: string, pid: number | null, hasLastWords = false): void {
    const { clock, folder } = this.#options
    if (clock.mono() - this.#startedAt > STEADY_MS) this.#deaths = 0
    const pauseMs = backoffMs(this.#deaths, RESTART)
    this.#deaths += 1
    this.#phase = 'waiting'
    this.#agent = undefined
    const again = pauseMs === 0 ? 'it is started again at once' : `it is started again in ${pauseMs} ms`
    const said = hasLastWords ? lastLine(join(folder, 'agent.log')) : ''
    this.#tell('agent-died', `its agent ${how}; ${again}${said && `; it said: ${said}`}`, pid)
    this.#cancel = clock.after(pauseMs, () => this.#begin())
  }

  /** An agent that ends as it was told to takes its identity file with it. */
  #leftOnPurpose(): boolean {
    return !existsSync(join(this.#options.folder, 'agent.json'))
  }

  #tell(what: LocalEvent['what'], why: string, pid: number | null): void {
    const at = new Date(this.#options.clock.wall()).toISOString()
    this.#options.tell({ at, node: this.name, what, why, pid })
  }
}

/** For appending: several agents of one node, one after the other, write into it. One older file is kept. */
function openLog(folder: string): number {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const path = join(folder, 'agent.log')
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > MOST_LOG_BYTES) renameSync(path, `${path}.1`)
  return openSync(path, 'a', 0o600)
}

function lastLine(path: string): string {
  try {
    return readTail(path, 4_096).trimEnd().split('\n').at(-1)?.trim().slice(0, 300) ?? ''
  } catch {
    return '' // no log, no last words
  }
}
