/**
 * Single health checks that do real work: a whole HTTP exchange over a connection made for it, or a command of the user's.
 * A kept connection would prove nothing about new clients, and a mere connect proves nothing at all: the kernel accepts
 * on behalf of a process that is stopped.
 *
 * A check never rejects: that it failed is its result.
 */
import { spawn } from 'node:child_process'
import { request } from 'node:http'
import { signalGroup } from '../../lib/proc.ts'
import { asAccount } from '../as-account.ts'
import { commandWords } from './command-line.ts'
import type { CheckResult } from './health.ts'
import type { Run } from './options.ts'
import type { RunAs } from './run-as.ts'

export type Check = () => Promise<CheckResult>

const OK: CheckResult = { ok: true, note: '' }
/** Enough of an answer to know that it comes; a health page that is longer is not read to its end. */
const READ_AT_MOST_BYTES = 64 * 1024

export interface HttpTarget {
  /** Where the instance listens; asked when a connection is refused. */
  readonly listens?: () => readonly string[]
  readonly host: string
  readonly port: number
  readonly path: string
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
  return new Promise((resolve) => {
    const { host, port, path } = target
    const answer = (status: number | undefined, problem: string, refused = false) => {
      clearTimeout(deadline)
      resolve({ status, problem, refused })
      asked.destroy()
    }
    const headers = body === '' ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    const asked = request({ host, port, path, method, headers, agent: false }, (response) => {
      let bytes = 0
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes >= READ_AT_MOST_BYTES) answer(response.statusCode, '')
      })
      response.on('end', () => answer(response.statusCode, ''))
      response.on('error', () => answer(undefined, 'the connection was cut in the middle of the answer'))
    })
    const deadline = setTimeout(() => answer(undefined, `no answer within ${target.timeoutMs} ms`), target.timeoutMs)
    asked.on('error', (error: NodeJS.ErrnoException) =>
      answer(undefined, describeError(error), error.code === 'ECONNREFUSED'),
    )
    asked.end(body)
  })
}

export function httpCheck(target: HttpTarget): Check {
  return async () => {
    const { status, problem, refused } = await exchange(target, 'GET')
    if (status !== undefined && status >= 200 && status < 400) return OK
    const where = refused ? listensText(target) : ''
    return { ok: false, note: `GET ${target.path}: ${status ?? problem}${where}` }
  }
}

/** ` on 127.0.0.1:20000; it listens on 127.0.0.1:3000: let it listen on $HOST:$PORT`. */
function listensText({ host, port, listens }: HttpTarget): string {
  const asked = ` on ${host}:${port}`
  if (!listens) return asked
  const found = listens()
  if (found.length === 0) return `${asked}, and it listens nowhere`
  return `${asked}; it listens on ${found.join(', ')}: let it listen on $HOST:$PORT`
}

export interface ExecCheckRequest {
  readonly run: Run
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly runAs: RunAs | null
  readonly timeoutMs: number
}

/** Exit code 0 is healthy. What it prints goes nowhere; after the timeout it is killed with everything it started. */
export function execCheck(check: ExecCheckRequest): Check {
  const [program = '', ...words] = commandWords(check.run)
  const { file, args, ids } = asAccount(check.runAs, program, words)
  return () =>
    new Promise((resolve) => {
      const child = spawn(file, args, {
        cwd: check.cwd,
        env: { ...check.env },
        detached: true,
        stdio: 'ignore',
        ...ids,
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
