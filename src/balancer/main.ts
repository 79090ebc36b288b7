/**
 * The balancer's process: one on every node, apart from the agent, so that neither's troubles are the other's.
 *
 *     node dist/balancer/main.js --socket PATH --saved PATH [--take-over]
 *
 * Boot order: the saved table first, so that clients are served before an agent connects; then the control socket.
 * With `--take-over` it gets all that from the balancer that started it (hand-over.ts).
 * SIGTERM, SIGINT or `drain-and-exit`: accept nothing more, let what is open end (10 s at most), exit 0.
 */
import { spawn } from 'node:child_process'
import { Server } from 'node:net'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { PROTOCOL, type Speaks } from '../core/protocol.ts'
import type { RouteCounters } from '../core/routing-table.ts'
import { AssertionError } from '../lib/assert.ts'
import { faultLine, inBackground, onFault } from '../lib/background.ts'
import { sleep, systemClock } from '../lib/clock.ts'
import { removeFile, writeFileAtomic } from '../lib/files.ts'
import { identify } from '../lib/proc.ts'
import { version } from '../lib/program-version.ts'
import { superviseLoop } from '../lib/supervised-loop.ts'
import { Balancer, type BalancerEvents } from './balancer.ts'
import type { FromBalancer } from './balancer-messages.ts'
import { Secrets } from './balancer-secrets.ts'
import type { ToBalancer } from './control-protocol.ts'
import { ControlServer } from './control-server.ts'
import { type FromSuccessor, handOver, type Successor, type ToSuccessor } from './hand-over.ts'
import { routeKey } from './live-route.ts'
import { APPLIED_WITHIN_MS, type Places, Predecessors } from './predecessors.ts'
import { readTable } from './read-table.ts'
import { RetiredLink } from './retired-link.ts'
import { readSaved, type Saved, Saver } from './saved-table.ts'
import { type PredecessorChannel, takeOver } from './take-over.ts'

const COUNTERS_EVERY_MS = 1_000
const DONE_EVERY_MS = 250
const REGAIN_EVERY_MS = 20
const TEXT = { type: 'string' } as const
const OPTIONS = { socket: TEXT, saved: TEXT, 'take-over': { type: 'boolean' } } as const
const SPEAKS: Speaks = { version: version(), protocol: PROTOCOL }

function log(text: string): void {
  process.stderr.write(`${new Date(systemClock.wall()).toISOString()} balancer: ${text}\n`)
}

interface Paths {
  readonly socket: string
  readonly saved: string
}

/** The balancer as a process: one that serves, or one that has handed over and ends with its last connection. */
class BalancerProcess {
  readonly #paths: Paths
  readonly #secrets = new Secrets()
  readonly #predecessors = new Predecessors()
  readonly #balancer: Balancer
  readonly #saver: Saver
  #control: ControlServer | undefined
  /** Where this process is known as one that still runs, once it is no longer the balancer of the node. */
  readonly #leavingFile: string
  #link: RetiredLink | undefined
  #newest: unknown
  #isTakingOver = false
  #isHandingOver = false
  #isLeaving = false
  readonly #told: Record<Places, readonly string[]> = { ahead: [], still: [], ready: [] }

  constructor(paths: Paths) {
    this.#paths = paths
    this.#leavingFile = join(dirname(paths.saved), 'balancers', `${process.pid}.json`)
    // A full disk must not stop the balancer: it has the table in memory, and the agent has it too.
    this.#saver = new Saver(paths.saved, (error) => log(`the table could not be saved: ${text(error)}`))
    this.#balancer = new Balancer(
      systemClock,
      Math.random,
      eventsTo((message) => this.#tell(message)),
      this.#secrets.of,
    )
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => this.#leave())
    tellCounters(this.#balancer, (message) => this.#tell(message))
  }

  async serve(): Promise<void> {
    const saved = savedTable(this.#paths.saved)
    if (saved) {
      this.#balancer.recallTerms(saved.highestTerms)
      this.#balancer.apply(saved.table)
    }
    await this.#openControl()
  }

  /** As the successor of the process that started this one. */
  async takeOver(): Promise<void> {
    let state: Extract<ToSuccessor, { type: 'state' }> | undefined
    this.#isTakingOver = true
    await takeOver(channelToPredecessor(), {
      prepare: (given) => {
        state = given
        this.#balancer.recallTerms(given.highestTerms)
        this.#takeSecrets(given.secrets)
      },
      openControl: () => this.#openControl(),
      adopt: (key, listener) => {
        const route = state?.table?.routes.find((one) => routeKey(one) === key)
        if (route) this.#balancer.adopt(route, listener)
      },
      begin: () => {
        this.#isTakingOver = false
        if (state?.table) this.#accept(state.table)
        if (this.#newest !== undefined) this.#accept(this.#newest)
        this.#noteIdentity()
      },
    })
  }

  async #openControl(): Promise<void> {
    this.#control = await ControlServer.open(this.#paths.socket, {
      onTable: (value) => this.#accept(value),
      onSecrets: (value) => this.#takeSecrets(value),
      onDrainAndExit: () => this.#leave(),
      onHandOver: (program, args) => this.#handOver(program, args),
      onNotUnderstood: log,
      onConnected: () => {
        this.#hello()
        this.#balancer.retell()
        this.#tell({ type: 'counters', routes: this.#balancer.report() })
      },
      predecessors: {
        join: (key, send) => this.#welcome(key, send),
        hear: (key, message) => this.#hear(key, message),
        gone: (key) => {
          this.#predecessors.gone(key)
          this.#hello()
        },
      },
    })
  }

  #hello(): void {
    const { version } = this.#balancer
    this.#tell({ type: 'hello', pid: process.pid, version, program: SPEAKS })
  }

  /** To the agent, in the name of all balancers of this node; or, from one that has handed over, to its successor. */
  #tell(message: FromBalancer): void {
    if (this.#link && message.type === 'counters') {
      if (!this.#isLeaving) this.#link.tell(this.#counted(message.routes))
    } else if (this.#link) this.#link.tell(message)
    else if (message.type === 'counters') this.#control?.tell(this.#counted(message.routes))
    else if (message.type === 'sessions') this.#control?.tell({ ...this.#predecessors.sum(message), type: 'sessions' })
    else if (message.type === 'ahead' || message.type === 'still') {
      this.#told[message.type] = message.places
      if (message.type === 'still') this.#told.ready = message.ready ?? []
      this.#tellPlaces(message.type)
    } else this.#control?.tell(message)
  }

  #counted(routes: readonly RouteCounters[]): FromBalancer {
    return { type: 'counters', routes: this.#predecessors.addTo(routes) }
  }

  #tellPlaces(type: 'ahead' | 'still'): void {
    const agreed = (what: Places) => this.#predecessors.agreeOn(what, this.#told[what])
    const places = agreed(type)
    this.#control?.tell(type === 'still' ? { type, places, ready: agreed('ready') } : { type, places })
  }

  #accept(value: unknown): void {
    if (this.#isTakingOver) {
      this.#newest = value
      return
    }
    const table = readTable(value)
    if (typeof table === 'string') {
      log(`a table was refused: ${table}`)
      this.#tell({ type: 'table-refused', why: table })
      return
    }
    if (!this.#balancer.apply(table)) return
    if (this.#link) {
      this.#link.tell({ type: 'applied', version: table.version })
      return
    }
    this.#saver.save({ table, highestTerms: this.#balancer.highestTerms })
    this.#predecessors.forward({ type: 'table', table })
    if (this.#predecessors.use(table.version)) this.#hello()
    else systemClock.after(APPLIED_WITHIN_MS, () => this.#hello())
  }

  #takeSecrets(value: unknown): void {
    const complaint = this.#secrets.take(value)
    if (complaint !== undefined) log(`secrets were refused: ${complaint}`)
    else this.#predecessors.forward({ type: 'secrets', secrets: this.#secrets.all })
  }

  #welcome(key: object, send: (message: ToBalancer) => void): void {
    this.#predecessors.join(key, send)
    send({ type: 'secrets', secrets: this.#secrets.all })
    if (this.#balancer.table) send({ type: 'table', table: this.#balancer.table })
  }

  #hear(key: object, said: unknown): boolean {
    const message = this.#predecessors.says(key, said)
    if (message === undefined) return false
    if (message?.type === 'applied' && message.version === this.#balancer.version) {
      if (this.#predecessors.use(message.version)) this.#hello()
    } else if (message?.type === 'counters') this.#tell({ type: 'counters', routes: this.#balancer.report() })
    else if (message?.type === 'sessions') this.#control?.tell(message)
    else if (message?.type === 'ahead' || message?.type === 'still') this.#tellPlaces(message.type)
    return true
  }

  #handOver(program: string, args: readonly string[]): void {
    if (this.#isHandingOver || this.#isLeaving || this.#link) return
    this.#isHandingOver = true
    const duties = {
      state: () => ({
        type: 'state' as const,
        table: this.#balancer.table,
        highestTerms: this.#balancer.highestTerms,
        secrets: this.#secrets.all,
      }),
      listeners: () => this.#balancer.listeners(),
      releaseControl: () => this.#releaseControl(),
      regainControl: () => inBackground(this.#regainControl(), 'opening the control socket again'),
      retire: () => this.#retire(),
      log,
    }
    handOver(startSuccessor(program, args), duties, systemClock, () => {
      this.#isHandingOver = false
    })
  }

  #releaseControl(): void {
    writeFileAtomic(this.#leavingFile, JSON.stringify(identify(process.pid)))
    this.#predecessors.release()
    this.#control?.close()
    this.#control = undefined
  }

  /** The successor was killed and may take a moment to be gone. */
  async #regainControl(): Promise<void> {
    while (!this.#control) {
      await this.#openControl().catch(() => sleep(systemClock, REGAIN_EVERY_MS))
    }
    this.#noteIdentity() // the successor may have written down that it is the one
    removeFile(this.#leavingFile)
  }

  #noteIdentity(): void {
    const identity = identify(process.pid)
    if (identity) writeFileAtomic(join(dirname(this.#paths.saved), 'balancer.json'), JSON.stringify(identity))
  }

  #retire(): void {
    this.#balancer.retire()
    this.#link = new RetiredLink(this.#paths.socket, {
      onTable: (value) => this.#accept(value),
      onSecrets: (value) => this.#takeSecrets(value),
      onDrainAndExit: () => this.#leave(),
      onConnected: () => {
        this.#link?.tell({ type: 'applied', version: this.#balancer.version })
        this.#balancer.retell()
        this.#tell({ type: 'counters', routes: this.#balancer.report() })
      },
    })
    const work = () => {
      if (this.#balancer.isDone) this.#leave()
    }
    superviseLoop({ clock: systemClock, what: 'the look at the last connections', everyMs: DONE_EVERY_MS, work })
    log('handed over; this process ends with its last connection')
  }

  #leave(): void {
    if (this.#isLeaving) return
    this.#isLeaving = true
    this.#predecessors.forward({ type: 'drain-and-exit' })
    const last = this.#counted(this.#balancer.report()) // routes that have ended are not reported any more
    const leave = async () => {
      await this.#balancer.drain()
      this.#control?.close()
      this.#link?.tell(last)
      await this.#link?.end()
      removeFile(this.#leavingFile)
      process.exit(0)
    }
    inBackground(leave(), 'leaving')
  }
}

/** Detached, as the agent starts a balancer: it must outlive this process, and signals to this one's group are not for it. */
function startSuccessor(program: string, args: readonly string[]): Successor {
  const stdio = ['ignore', 'inherit', 'inherit', 'ipc'] as const
  const child = spawn(program, args, { detached: true, stdio: [...stdio] })
  return {
    send(message, listener) {
      child.send(message, listener, () => {}) // to one that ended: 'exit' says so
    },
    onMessage: (hear) => child.on('message', (message) => hear(message as FromSuccessor)),
    onEnd(ended) {
      child.once('exit', ended)
      child.once('error', ended)
    },
    kill: () => child.kill('SIGKILL'),
    letGo() {
      child.disconnect()
      child.unref()
    },
  }
}

function channelToPredecessor(): PredecessorChannel {
  return {
    send: (message) => process.send?.(message),
    onMessage: (hear) => {
      process.on('message', (message, handle) => hear(message, handle instanceof Server ? handle : undefined))
    },
    onGone: (gone) => process.once('disconnect', gone),
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: OPTIONS })
  const { socket, saved } = values
  if (socket === undefined || saved === undefined) {
    log('usage: main.js --socket PATH --saved PATH [--take-over]')
    process.exit(2)
  }
  const balancer = new BalancerProcess({ socket, saved })
  await (values['take-over'] ? balancer.takeOver() : balancer.serve())
}

/** A file that cannot be used is no reason to serve nothing: the agent tells the table anew. */
function savedTable(path: string): Saved | undefined {
  try {
    return readSaved(path)
  } catch (error) {
    log((error as Error).message)
    return undefined
  }
}

function eventsTo(tell: (message: FromBalancer) => void): BalancerEvents {
  return {
    onListening: ({ service, host, port }) => tell({ type: 'listening', service, host, port }),
    onListenFailed({ service, host, port }, code, message) {
      log(`${service}: cannot listen on ${host}:${port}: ${message}`)
      tell({ type: 'listen-failed', service, host, port, code, message })
    },
    onVerdict(service, targetId, verdict, why) {
      tell({ type: 'verdict', service, targetId, verdict, why })
    },
    onFull: (service, targetId, isFull, of) => tell({ type: 'full', service, targetId, isFull, of }),
    onSessions: (tally) => tell({ type: 'sessions', ...tally }),
    onAhead: (places) => tell({ type: 'ahead', places }),
    onStill: (places, ready) => tell({ type: 'still', places, ready }),
  }
}

function tellCounters(balancer: Balancer, tell: (message: FromBalancer) => void): void {
  let last = ''
  const work = () => {
    const routes = balancer.report()
    const now = JSON.stringify(routes)
    if (now !== last) tell({ type: 'counters', routes })
    last = now
  }
  superviseLoop({ clock: systemClock, what: 'telling the counters', everyMs: COUNTERS_EVERY_MS, work })
}

function text(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message).replaceAll('\n', ' | ') : String(error)
}

/** An error in one request must not end the others; a broken invariant must, because nothing can be trusted after it. */
function survive(what: string, error: unknown): void {
  log(error instanceof Error ? faultLine(what, error) : `a fault in ${what}: ${String(error)}`)
  if (error instanceof AssertionError) process.exit(70)
}

onFault(survive)
process.on('uncaughtException', (error) => survive('an event', error))
process.on('unhandledRejection', (error) => survive('a promise that nothing waited for', error))
main().catch((error: unknown) => {
  log(text(error))
  process.exit(1)
})
