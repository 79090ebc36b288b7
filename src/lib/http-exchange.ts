/**
 * One HTTP exchange over a connection made for it. An answer counts when all of it is here (or its first 64 KiB): what hangs
 * half way hangs. How long that may take is for the caller to say.
 *
 * Certificates are not verified unless an authority is named: the question goes to the address and port at which the
 * instance was placed, and most certificates are made out to the name that clients use. Kubernetes does the same.
 */
import { readFileSync } from 'node:fs'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import type { Socket } from 'node:net'
import { connect as connectTls, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls'
import { authority, type HttpQuestion, type HttpsTerms } from './http-question.ts'
import type { Stop } from './stop.ts'

/** A health page that is longer is not read to its end. */
const READ_AT_MOST_BYTES = 64 * 1024
/** A file of authorities that changed is read again after so long. */
const AUTHORITIES_KEPT_MS = 60_000

export interface ExchangeRequest {
  readonly host: string
  readonly port: number
  readonly question: HttpQuestion
  readonly method?: 'GET' | 'POST'
  /** JSON. */
  readonly body?: string
}

export type ExchangeEnd =
  | { readonly kind: 'status'; readonly status: number }
  /** It broke before the whole answer was here. */
  | { readonly kind: 'reset'; readonly problem: string }
  /** Something answered, but not as asked: no HTTP, no TLS, a certificate that is not trusted. */
  | { readonly kind: 'unreadable'; readonly problem: string }

/** Asks over `socket`, which is connected and belongs to the exchange from here on. Calls back once, unless it is cancelled. */
export function exchangeOver(socket: Socket, asked: ExchangeRequest, done: (end: ExchangeEnd) => void): Stop {
  let over = false
  const finish = (end: ExchangeEnd) => {
    if (over) return
    over = true
    // After a whole answer Node ends the connection in order, so that the log of the instance shows no broken one.
    if (end.kind !== 'status') socket.destroy()
    done(end)
  }
  socket.on('error', () => {}) // the request hears of it; what comes after its end changes nothing
  try {
    const sent = send(socket, asked)
    sent.on('error', (error: NodeJS.ErrnoException) => finish(endOf(error)))
    sent.on('response', (response) => readAnswer(response, socket, finish))
    sent.end(asked.body)
  } catch (error) {
    setImmediate(() => finish({ kind: 'unreadable', problem: `cannot be asked: ${(error as Error).message}` }))
  }
  return () => {
    over = true
    socket.destroy()
  }
}

function send(socket: Socket, { host, port, question, method = 'GET', body = '' }: ExchangeRequest): ClientRequest {
  const content = body === '' ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
  const usual = { host: authority(host, port), 'user-agent': 'understudy-probe', accept: '*/*' }
  const stream = question.https ? tlsOver(socket, question.https, host) : socket
  const headers = { ...usual, ...content, ...lowerCase(question.headers) }
  return request({ path: question.path, method, headers, createConnection: () => stream })
}

function lowerCase(headers: HttpQuestion['headers'] = {}): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}

function readAnswer(response: IncomingMessage, socket: Socket, finish: (end: ExchangeEnd) => void): void {
  const answered: ExchangeEnd = { kind: 'status', status: response.statusCode ?? 0 }
  let bytes = 0
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes < READ_AT_MOST_BYTES) return
    finish(answered)
    socket.destroy()
  })
  response.on('end', () => finish(answered))
  response.on('error', () => finish({ kind: 'reset', problem: 'the connection was cut in the middle of the answer' }))
}

function endOf({ code = '', message }: NodeJS.ErrnoException): ExchangeEnd {
  if (code === 'ECONNRESET' || code === 'EPIPE') return { kind: 'reset', problem: 'connection reset' }
  if (code.startsWith('HPE_')) return { kind: 'unreadable', problem: 'the answer is not HTTP' }
  // OpenSSL's own words begin with numbers of its source: `C0B7…:error:0A00010B:SSL routines:…:wrong version number:…`.
  const said = /:SSL routines:[^:]*:([^:]+)/.exec(message)?.[1]
  return { kind: 'unreadable', problem: said === undefined ? message : `TLS failed: ${said}` }
}

function tlsOver(socket: Socket, { servername, ca }: HttpsTerms, host: string): TLSSocket {
  return connectTls({
    socket,
    host,
    ...(servername === undefined ? {} : { servername }),
    secureContext: trusting(ca),
    rejectUnauthorized: ca !== undefined,
  })
}

const contexts = new Map<string | undefined, { readonly context: SecureContext; readonly readAt: number }>()

/** Reading authorities takes milliseconds: they are kept. Throws when the file cannot be used. */
function trusting(ca: string | undefined): SecureContext {
  const now = performance.now()
  const known = contexts.get(ca)
  if (known && now - known.readAt < AUTHORITIES_KEPT_MS) return known.context
  const context = createSecureContext({ ca: ca === undefined ? [] : readFileSync(ca, 'utf8') })
  contexts.set(ca, { context, readAt: now })
  return context
}
