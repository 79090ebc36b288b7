/**
 * The answers that the balancer gives itself, each with its reason in `X-Understudy`, so that no client mistakes them for the
 * application's. `fate` says what became of the request: `not-done` is said only when it is known that no instance saw any of
 * it, for this is what lets a client send it again.
 */
import type { ServerResponse } from 'node:http'

export const OWN_ANSWERS = {
  /** No target could take it in time, and no instance saw it: it may be sent again. */
  'no-instance': { status: 503, says: 'no instance could take this request; nothing was done', fate: 'not-done' },
  /** More requests are waiting here than the balancer is willing to hold. */
  'too-many-held': { status: 503, says: 'too many requests are waiting already; nothing was done', fate: 'not-done' },
  /** It was passed on and the connection broke before an answer. */
  'unknown-fate': {
    status: 502,
    says: 'the instance went away before it answered; this request may or may not have been carried out',
    fate: 'unknown',
  },
  /** An idempotent request waited as long as it may for instances that do not answer. */
  'no-answer': { status: 503, says: 'no instance answered in time', fate: 'unknown' },
  /** Every instance has as many open requests as it may. */
  'instances-full': {
    status: 503,
    says: 'every instance has as many open requests as it may have; nothing was done',
    fate: 'not-done',
  },
  /** It was passed on, and what came back could not be read as an answer. */
  'bad-answer': { status: 502, says: 'the answer of the instance could not be read', fate: 'unknown' },
  /** It was passed on whole, and the head of an answer did not come in time. */
  'answer-too-slow': { status: 504, says: 'the instance did not answer in time', fate: 'unknown' },
  /** The client stopped sending the body. */
  'body-too-slow': { status: 408, says: 'the body of this request took too long to arrive', fate: 'unknown' },
  /** The body cannot be understood, and an instance may have part of it. */
  'bad-body': { status: 400, says: 'the body of this request is not valid HTTP/1.1', fate: 'unknown' },
  'bad-request': { status: 400, says: 'this is not an unambiguous HTTP/1.1 request', fate: 'not-done' },
  'head-too-large': { status: 431, says: 'the headers of this request are too large', fate: 'not-done' },
  'head-too-slow': { status: 408, says: 'the head of this request took too long to arrive', fate: 'not-done' },
} as const

export type Reason = keyof typeof OWN_ANSWERS

/** That nothing was done is said only of a request of which no instance saw anything, in no attempt. */
export function knownFate(reason: Reason, everSent: boolean): Reason {
  const claimsNothing = reason === 'no-instance' || reason === 'too-many-held' || reason === 'instances-full'
  return claimsNothing && everSent ? 'no-answer' : reason
}

/** The headers and body of such an answer. `detail` says what exactly. */
function compose(reason: Reason, detail: string): { headers: string[]; body: string } {
  const { status, says, fate } = OWN_ANSWERS[reason]
  const body = `${JSON.stringify({ error: reason, message: detail === '' ? says : `${says}: ${detail}`, fate })}\n`
  const headers = ['X-Understudy', reason, 'Content-Type', 'application/json', 'Cache-Control', 'no-store']
  if (status === 503) headers.push('Retry-After', '1')
  headers.push('Content-Length', String(Buffer.byteLength(body)))
  return { headers, body }
}

/** Answers in place of an instance. The response must not have begun. */
export function answer(response: ServerResponse, reason: Reason, detail = ''): void {
  const { headers, body } = compose(reason, detail)
  response.writeHead(OWN_ANSWERS[reason].status, headers)
  response.end(body)
}

/** The head of an answer, as bytes of latin1. */
export function headBytes(status: number, message: string, headers: readonly string[]): string {
  let text = `HTTP/1.1 ${status} ${message}\r\n`
  for (let at = 0; at + 1 < headers.length; at += 2) text += `${headers[at]}: ${headers[at + 1]}\r\n`
  return `${text}\r\n`
}

/** The same as bytes, for a connection on which no request could be read. It is to be closed afterwards. */
export function answerBytes(reason: Reason, detail = ''): string {
  const { headers, body } = compose(reason, detail)
  const { status } = OWN_ANSWERS[reason]
  return `${headBytes(status, PHRASES[status] ?? '', [...headers, 'Connection', 'close'])}${body}`
}

const PHRASES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  408: 'Request Timeout',
  431: 'Request Header Fields Too Large',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
}
