/**
 * `up --detach`: a second process of this program supervises the cluster in the background; this one waits until every
 * service is healthy and its endpoints are open, and says so. If that takes too long, it says what is not healthy; the
 * cluster goes on trying.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync, statSync } from 'node:fs'
import { closedEndpoints, isUp } from '../api/closed-endpoints.ts'
import { connect, type ServiceStatus, type Status } from '../client/index.ts'
import type { ClusterSpec } from '../core/model.ts'
import { UnderstudyError } from '../errors.ts'
import { sleep, systemClock } from '../lib/clock.ts'
import { formatDuration } from '../lib/duration.ts'
import { apiAddresses, type StateFolder } from '../local/cluster-folder.ts'
import { printJson } from './commands/command.ts'
import type { Io } from './io.ts'
import { footerLines } from './print/frame.ts'
import { headline, isWhole } from './print/print-status.ts'
import { Screen } from './screen.ts'

export interface DetachRequest {
  readonly spec: ClusterSpec
  readonly file: string
  readonly state: StateFolder
  readonly json: boolean
  readonly timeoutMs: number
}

const LOOK_EVERY_MS = 100
const SAID_AGAIN_MS = 10_000
/** Changes that follow each other faster are said as one. */
const CHANGES_SAID_MS = 1_000

/** Said by the process behind when nothing can be refused any more. Before that, what is healthy is a cluster from before. */
export function sayThatItLooksAfter(): void {
  process.send?.('looks after it', () => {}) // the process that started it may be gone by now
}

/** Resolves to the exit code. Rejects with UND_TIMED_OUT. */
export async function detach(io: Io, request: DetachRequest): Promise<number> {
  const { state, spec, timeoutMs } = request
  state.create()
  const logStart = statSync(state.upLog, { throwIfNoEntry: false })?.size ?? 0
  const child = startBehind(request)
  let code: number | undefined
  let looksAfter = false
  child.once('exit', (exitCode) => {
    code = exitCode ?? 1
  })
  child.once('message', () => {
    looksAfter = true
  })
  const screen = new Screen(io.tty && !request.json)
  const lines = new ProgressLines(io, !io.tty && !request.json)
  const deadline = systemClock.mono() + timeoutMs
  let status: Status | undefined
  while (systemClock.mono() < deadline) {
    if (code !== undefined) {
      screen.close()
      io.err(readFileSync(state.upLog).subarray(logStart).toString('utf8').trimEnd())
      return code
    }
    if (looksAfter) status = await statusOf(spec, state)
    if (status && notUp(status).length === 0) {
      letGo(child)
      return done(io, screen, request, status)
    }
    screen.draw([progress(spec, status)])
    lines.show(progress(spec, status))
    await sleep(systemClock, LOOK_EVERY_MS)
  }
  screen.close()
  letGo(child)
  throw tooLate(timeoutMs, status)
}

function startBehind({ file, state }: DetachRequest): ChildProcess {
  return runBehind(state, ['up', file, '--state', state.path, '--plain'])
}

function runBehind(state: StateFolder, command: readonly string[]): ChildProcess {
  const log = openSync(state.upLog, 'a', 0o600)
  const args = [...process.execArgv, process.argv[1] ?? '', ...command]
  const child = spawn(process.execPath, args, { detached: true, stdio: ['ignore', log, log, 'ipc'] })
  closeSync(log) // the child has its own descriptor
  return child
}

const RESUMED_WITHIN_MS = 30_000

/** Starts `up --resume` of this program in the background. Resolves to its pid when it looks after the agents. */
export async function resumeBehind(state: StateFolder): Promise<number> {
  const logStart = statSync(state.upLog, { throwIfNoEntry: false })?.size ?? 0
  const child = runBehind(state, ['up', '--resume', '--state', state.path, '--plain'])
  const outcome = await new Promise<'resumed' | 'ended' | 'late'>((resolve) => {
    const cancel = systemClock.after(RESUMED_WITHIN_MS, () => resolve('late'))
    const is = (what: 'resumed' | 'ended') => () => {
      cancel()
      resolve(what)
    }
    child.once('message', is('resumed'))
    child.once('exit', is('ended'))
    child.once('error', is('ended'))
  })
  letGo(child)
  if (outcome === 'resumed' && child.pid !== undefined) return child.pid
  const said = readFileSync(state.upLog).subarray(logStart).toString('utf8').trim()
  throw new UnderstudyError(
    'UND_TIMED_OUT',
    `no process looks after the agents now (they run on): “understudy up --resume” ${outcome === 'late' ? 'took too long' : 'ended'}: ${said}`,
  )
}

/** Where nothing can be redrawn (a log file, a pipe) a line is printed when what is waited for changes, and at the latest after ten seconds. */
class ProgressLines {
  readonly #io: Io
  readonly #isOn: boolean
  readonly #beganAt = systemClock.mono()
  #last = ''
  #saidAt = Number.NEGATIVE_INFINITY

  constructor(io: Io, isOn: boolean) {
    this.#io = io
    this.#isOn = isOn
  }

  show(line: string): void {
    const now = systemClock.mono()
    const isDue = now - this.#saidAt >= SAID_AGAIN_MS || (line !== this.#last && now - this.#saidAt >= CHANGES_SAID_MS)
    if (!this.#isOn || !isDue) return
    this.#io.err(`${line} (${formatDuration(now - this.#beganAt)})`)
    this.#last = line
    this.#saidAt = now
  }
}

/** It goes on without us. */
function letGo(child: ChildProcess): void {
  if (child.connected) child.disconnect()
  child.unref()
}

async function statusOf(spec: ClusterSpec, state: StateFolder): Promise<Status | undefined> {
  const token = state.readToken()
  if (!token) return undefined
  return connect({ addresses: apiAddresses(spec), token })
    .status()
    .catch(() => undefined)
}

function notUp(status: Status): Status['services'] {
  // One that an operator stopped is as it shall be.
  const wanted = status.services.filter(({ stopped }) => stopped === undefined)
  return wanted.filter((service) => !isUp(status, service) || service.redundancyState.state === 'unhealthy')
}

function stoppedText({ services }: Status): string {
  const names = services.filter(({ stopped }) => stopped).map(({ name }) => name)
  return names.length === 0 ? '' : `, but for what an operator stopped: ${names.join(', ')}`
}

function closedIn(status: Status, service: ServiceStatus): string {
  const closed = closedEndpoints(status, service).map(({ host, port }) => `${host}:${port}`)
  return closed.length === 0 ? '' : `; not open yet: ${closed.join(', ')}`
}

function done(io: Io, screen: Screen, { spec, state, json }: DetachRequest, status: Status): number {
  screen.draw([])
  screen.close()
  if (json) {
    printJson(io, status)
    return 0
  }
  io.out(
    `${io.paint.bold(spec.name)} is up: every service is healthy${stoppedText(status)}. “understudy down” stops it; its log is ${state.upLog}`,
  )
  // Redundant comes after healthy: clients are served while standbys are still being copied.
  if (!isWhole(status))
    io.out(`Not everything is there yet: ${headline(io, status)}. “understudy status” says when it is.`)
  for (const line of footerLines(io, spec).slice(0, -1)) io.out(line)
  return 0
}

function progress(spec: ClusterSpec, status: Status | undefined): string {
  if (!status) return `${spec.name}: waiting for the first agent to answer`
  return `${spec.name}: waiting for ${notUp(status)
    .map(({ name }) => name)
    .join(', ')}`
}

function tooLate(timeoutMs: number, status: Status | undefined): UnderstudyError {
  const what = status
    ? notUp(status)
        .map((service) => `\n  ${service.name}: ${service.why}${closedIn(status, service)}`)
        .join('')
    : '\n  no agent answers; nodes/*/agent.log in the state folder says more'
  const message = `not healthy after ${formatDuration(timeoutMs)}:${what}\nThe cluster goes on trying; “understudy status” shows it, “understudy down” stops it.`
  return new UnderstudyError('UND_TIMED_OUT', message)
}
