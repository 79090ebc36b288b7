/**
 * One question to one target: a real request over a fresh connection, with a deadline. A connection that is already open
 * would say nothing of new ones, and an accepted connection says nothing of the process behind it: the kernel accepts for
 * processes that are stopped. For the same reason a probe without a path, which can only connect, cannot see a process that
 * hangs; it sees one that is gone.
 */
import type { Socket } from 'node:net'
import type { openSocket } from './http/instance-connection.ts'

export interface Question {
  readonly host: string
  readonly port: number
  /** Null: a connection is all that can be asked for. */
  readonly path: string | null
  readonly patienceMs: number
}

export type ProbeAnswer =
  | { readonly kind: 'answered' }
  | { readonly kind: 'unwell'; readonly status: number }
  | { readonly kind: 'refused' }
  | { readonly kind: 'missed' }
  /** The connection broke before an answer came: not a silence, and not an answer. */
  | { readonly kind: 'reset' }
  /** We could not even ask (no file descriptor, no port). It says nothing of the target. */
  | { readonly kind: 'not-asked' }

const STATUS_LINE_LIMIT = 256

/**
 * Asks once and calls back once. Returns a way to forget the question. The patience counts from the moment at which the
 * question was sent: if our own loop was late in sending it, that was not the target's time.
 */
export function probe(question: Question, dial: typeof openSocket, done: (answer: ProbeAnswer) => void): () => void {
  let socket: Socket | undefined
  let timer: NodeJS.Timeout | undefined
  let over = false
  const finish = (answer: ProbeAnswer): void => {
    if (over) return
    over = true
    clearTimeout(timer)
    if (socket && wasAsked(answer)) leave(socket)
    else if (socket) discard(socket)
    done(answer)
  }
  // Where nothing was asked nobody answers, and a server may wait for whoever has connected: PostgreSQL does not end before.
  const wasAsked = ({ kind }: ProbeAnswer) => question.path !== null && (kind === 'answered' || kind === 'unwell')
  const attempt = dial(question.host, question.port, question.patienceMs, (result) => {
    if (result === 'refused') return finish({ kind: 'refused' })
    if (result === 'timeout') return finish({ kind: 'missed' })
    if (result === 'local') return finish({ kind: 'not-asked' })
    socket = result
    if (question.path === null) return finish({ kind: 'answered' })
    ask(socket, question, finish)
    // A timer that is due runs before arrived bytes are read; one turn of the loop later both have been seen.
    timer = setTimeout(() => setImmediate(() => finish({ kind: 'missed' })), question.patienceMs)
  })
  return () => {
    over = true
    attempt.cancel()
    clearTimeout(timer)
    if (socket) discard(socket)
  }
}

function ask(socket: Socket, { host, port, path }: Question, done: (answer: ProbeAnswer) => void): void {
  let seen = ''
  socket.on('error', () => done({ kind: 'reset' }))
  socket.on('end', () => done({ kind: 'reset' }))
  socket.on('data', (chunk) => {
    seen += chunk.toString('latin1', 0, STATUS_LINE_LIMIT)
    const answer = readStatus(seen)
    if (answer) done(answer)
  })
  const name = host.includes(':') ? `[${host}]` : host
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: ${name}:${port}\r\nUser-Agent: understudy-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n`,
    'latin1',
  )
}

/** Undefined while the status line is not complete. Success and redirects are well, as for HAProxy and nginx. */
export function readStatus(seen: string): ProbeAnswer | undefined {
  if (!seen.includes('\r\n') && seen.length < STATUS_LINE_LIMIT) return undefined
  const status = Number(/^HTTP\/1\.[01] (\d{3})(?: |\r\n)/.exec(seen)?.[1] ?? Number.NaN)
  if (Number.isNaN(status)) return { kind: 'unwell', status: 0 }
  return status >= 200 && status < 400 ? { kind: 'answered' } : { kind: 'unwell', status }
}

/** Who answered may finish its sentence and close, so that its log shows no broken connection; but not for ever. */
function leave(socket: Socket): void {
  silence(socket)
  socket.on('end', () => socket.destroy())
  socket.resume()
  socket.setTimeout(1_000, () => socket.destroy())
}

function discard(socket: Socket): void {
  silence(socket)
  socket.destroy()
}

function silence(socket: Socket): void {
  socket.removeAllListeners()
  socket.on('error', () => {}) // the answer has been taken; how the connection ends changes nothing
}
