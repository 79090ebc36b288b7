/**
 * Single health checks that do real work: a whole HTTP exchange over a connection made for it, or a command of the user's.
 * A kept connection would prove nothing about new clients, and a mere connect proves nothing at all: the kernel accepts
 * on behalf of a process that is stopped.
 *
 * A check never rejects: that it failed is its result.
 */
import { connect } from 'node:net'
import { type ExchangeEnd, exchangeOver } from '../../lib/http-exchange.ts'
import { goodText, type HttpQuestion, isGood, urlText } from '../../lib/http-question.ts'
import { signalGroup } from '../../lib/proc.ts'
import type { Stop } from '../../lib/stop.ts'
import { spawnAs } from '../as-account.ts'
import { commandWords } from './command-line.ts'
import type { CheckResult } from './health.ts'
import type { Run } from './options.ts'
import type { RunAs } from './run-as.ts'

export type Check = () => Promise<CheckResult>

const OK: CheckResult = { ok: true, note: '' }

export interface HttpTarget extends HttpQuestion {
  /** Where the instance listens; asked when a connection is refused. */
  readonly listens?: () => readonly string[]
  readonly host: string
  readonly port: number
  readonly timeoutMs: number
}

export interface HttpAnswer {
  readonly status: number | undefined
  /** Why there is no status; empty when there is one. */
  readonly problem: string
  /** Nothing of the request can have reached the program. */
  readonly refused: boolean
}

/** One exchange on a fresh connection, with a deadline for all of it. */
export function exchange(target: HttpTarget, method: 'GET' | 'POST', body = ''): Promise<HttpAnswer> {
  const { host, port, timeoutMs } = target
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    const answer = (status: number | undefined, problem: string, refused = false) => {
      clearTimeout(deadline)
      socket.off('error', onUnconnected)
      socket.on('error', () => {}) // the answer is known; how the connection ends changes nothing
      resolve({ status, problem, refused })
    }
    const onUnconnected = (error: NodeJS.ErrnoException) =>
      answer(undefined, describeError(error), error.code === 'ECONNREFUSED')
    const onEnd = (end: ExchangeEnd) =>
      end.kind === 'status' ? answer(end.status, '') : answer(undefined, end.problem)
    let cancel: Stop = () => socket.destroy()
    const deadline = setTimeout(() => {
      cancel()
      answer(undefined, `no answer within ${timeoutMs} ms`)
    }, timeoutMs)
    socket.once('error', onUnconnected)
    socket.once('connect', () => {
      socket.off('error', onUnconnected)
      cancel = exchangeOver(socket, { host, port, question: target, method, body }, onEnd)
    })
  })
}

export function httpCheck(target: HttpTarget): Check {
  return async () => {
    const { status, problem, refused } = await exchange(target, 'GET')
    if (status !== undefined && isGood(status, target)) return OK
    const asked = `GET ${urlText(target, target.host, target.port)}`
    if (status !== undefined) return { ok: false, note: `${asked} answered ${status}, expected ${goodText(target)}` }
    return { ok: false, note: `${asked}: ${problem}${refused ? listensText(target) : ''}` }
  }
}

/** `; it listens on 127.0.0.1:3000: let it listen on $HOST:$PORT`. */
function listensText({ listens }: HttpTarget): string {
  if (!listens) return ''
  const found = listens()
  if (found.length === 0) return ', and it listens nowhere'
  return `; it listens on ${found.join(', ')}: let it listen on $HOST:$PORT`
}

export interface ExecCheckRequest {
  readonly run: Run
  readonly cwd: string
  /** Asked for each check, and not kept. */
  env(): Readonly<Record<string, string | undefined>>
  readonly runAs: RunAs | null
  readonly timeoutMs: number
}

/** Exit code 0 is healthy. What it prints goes nowhere; after the timeout it is killed with everything it started. */
export function execCheck(check: ExecCheckRequest): Check {
  const [program = '', ...words] = commandWords(check.run)
  return () => {
    let env: ReturnType<ExecCheckRequest['env']>
    try {
      env = check.env()
    } catch (error) {
      // A key that cannot be read must end nothing that runs, on no node.
      return Promise.resolve({ ok: false, asked: false, note: `check: not run: ${(error as Error).message}` })
    }
    return new Promise((resolve) => {
      const child = spawnAs(check.runAs, program, words, {
        cwd: check.cwd,
        env: { ...env },
        detached: true,
        stdio: 'ignore',
      })
      const deadline = setTimeout(() => {
        if (child.pid !== undefined) signalGroup(child.pid, 'SIGKILL')
        resolve({ ok: false, note: `check: no end within ${check.timeoutMs} ms` })
      }, check.timeoutMs)
      const end = (result: CheckResult) => {
        clearTimeout(deadline)
        resolve(result)
      }
      child.once('error', (error) => end({ ok: false, note: `check: cannot be run: ${error.message}` }))
      child.once('exit', (code, signal) =>
        end(code === 0 ? OK : { ok: false, note: `check: ended with ${signal ?? `code ${code}`}` }),
      )
    })
  }
}

/** All must pass; the first that fails says why. One that cannot even be tried has failed. */
export function allChecks(checks: readonly Check[]): Check {
  return async () => {
    try {
      for (const check of checks) {
        const result = await check()
        if (!result.ok) return result
      }
      return OK
    } catch (error) {
      return { ok: false, note: `the check cannot be run: ${String(error)}` }
    }
  }
}

function describeError(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'ECONNREFUSED':
      return 'connection refused'
    case 'ECONNRESET':
      return 'connection reset'
    default:
      return error.message
  }
}
