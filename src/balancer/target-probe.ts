/**
 * One question to one target: a real request over a fresh connection, with a deadline. A connection that is already open
 * would say nothing of new ones, and an accepted connection says nothing of the process behind it: the kernel accepts for
 * processes that are stopped. For the same reason a probe without a path, which can only connect, cannot see a process that
 * hangs; it sees one that is gone.
 */
import type { Socket } from 'node:net'
import type { Probe } from '../core/routing-table.ts'
import { type ExchangeEnd, exchangeOver } from '../lib/http-exchange.ts'
import { goodText, type HttpQuestion, isGood, urlText } from '../lib/http-question.ts'
import type { Stop } from '../lib/stop.ts'
import type { openSocket } from './http/instance-connection.ts'

/** Without a path a connection is all that can be asked for. */
export interface Question extends Omit<Probe, 'everyMs' | 'timeoutMs'> {
  readonly host: string
  readonly port: number
  readonly patienceMs: number
}

export type ProbeAnswer =
  | { readonly kind: 'answered' }
  | { readonly kind: 'unhealthy'; readonly said: string }
  | { readonly kind: 'refused' }
  | { readonly kind: 'missed' }
  /** The connection broke before an answer came: not a silence, and not an answer. */
  | { readonly kind: 'reset' }
  /** We could not even ask (no file descriptor, no port). It says nothing of the target. */
  | { readonly kind: 'not-asked' }

/**
 * Asks once and calls back once. Returns a way to forget the question. The patience counts from the moment at which the
 * question was sent: if our own loop was late in sending it, that was not the target's time.
 */
export function probe(question: Question, dial: typeof openSocket, done: (answer: ProbeAnswer) => void): () => void {
  const { host, port, path, patienceMs } = question
  let timer: NodeJS.Timeout | undefined
  let cancel: Stop = () => attempt.cancel()
  let over = false
  const finish = (answer: ProbeAnswer): void => {
    if (over) return
    over = true
    clearTimeout(timer)
    if (answer.kind === 'missed') cancel()
    done(answer)
  }
  const attempt = dial(host, port, patienceMs, (result) => {
    if (result === 'refused') return finish({ kind: 'refused' })
    if (result === 'timeout') return finish({ kind: 'missed' })
    if (result === 'local') return finish({ kind: 'not-asked' })
    if (path === null) {
      // Where nothing was asked nothing answers, and a server may wait for what has connected: PostgreSQL does not end before.
      discard(result)
      return finish({ kind: 'answered' })
    }
    const asked = { ...question, path }
    cancel = exchangeOver(result, { host, port, question: asked }, (end) => finish(answerOf(end, asked, question)))
    // A timer that is due runs before arrived bytes are read; one turn of the loop later both have been seen.
    timer = setTimeout(() => setImmediate(() => finish({ kind: 'missed' })), patienceMs)
  })
  return () => {
    over = true
    clearTimeout(timer)
    cancel()
  }
}

function answerOf(end: ExchangeEnd, asked: HttpQuestion, { host, port }: Question): ProbeAnswer {
  if (end.kind === 'reset') return { kind: 'reset' }
  if (end.kind === 'status' && isGood(end.status, asked)) return { kind: 'answered' }
  const url = `GET ${urlText(asked, host, port)}`
  if (end.kind === 'unreadable') return { kind: 'unhealthy', said: `${url}: ${end.problem}` }
  return { kind: 'unhealthy', said: `${url} answered ${end.status}, expected ${goodText(asked)}` }
}

function discard(socket: Socket): void {
  socket.removeAllListeners()
  socket.on('error', () => {}) // the answer has been taken; how the connection ends changes nothing
  socket.destroy()
}
