/**
 * Errors and notices in the words of the protocol, and the balancer's own sentences. A client must be able to tell what
 * to do from the SQLSTATE alone, so the codes are those that drivers and pools already take for "this connection is
 * gone":
 *
 *     57P01  nothing was under way, or only a transaction that can no longer commit: repeat all of it on a new connection
 *     08007  a statement was under way and it is not known whether it took effect: check before repeating
 *     57P03  no login is possible at the moment
 *     08P01  what came was not the protocol
 *
 * The first words of these errors, "terminating connection", are what libraries look for that read no codes.
 */
import type { CutReason } from '../../core/replicated/session-counts.ts'
import { message, textAt } from './messages.ts'

export interface ErrorFields {
  readonly severity: 'ERROR' | 'FATAL' | 'NOTICE' | 'WARNING'
  readonly code: string
  readonly message: string
  readonly detail?: string
  readonly hint?: string
}

export function errorResponse(fields: ErrorFields): Buffer {
  const isNotice = fields.severity === 'NOTICE' || fields.severity === 'WARNING'
  const parts = [`S${fields.severity}\0V${fields.severity}\0C${fields.code}\0M${fields.message}\0`]
  if (fields.detail !== undefined) parts.push(`D${fields.detail}\0`)
  if (fields.hint !== undefined) parts.push(`H${fields.hint}\0`)
  return message(isNotice ? 'N' : 'E', Buffer.from(`${parts.join('')}\0`, 'utf8'))
}

/** Field letter to text, as in the protocol's list of error fields. */
export function readFields(buffer: Buffer, start: number, end: number): Map<string, string> {
  const fields = new Map<string, string>()
  let at = start
  while (at < end && buffer[at] !== 0) {
    const text = textAt(buffer, at, end)
    fields.set(text.slice(0, 1), text.slice(1))
    at += text.length + 1
  }
  return fields
}

/** The same error with a hint more; a hint that is there already becomes part of the detail. */
export function withHint(fields: ReadonlyMap<string, string>, hint: string): Buffer {
  const all = new Map(fields)
  const before = all.get('H')
  const hintBytes = Buffer.from(hint, 'utf8').toString('latin1')
  if (before !== undefined) all.set('D', [all.get('D'), before].filter((one) => one !== undefined).join(' '))
  all.set('H', hintBytes)
  return message('E', `${[...all].map(([letter, text]) => `${letter}${text}\0`).join('')}\0`)
}

/** Why a session could not be kept, for its client. */
const SENTENCES: Readonly<Record<CutReason, string>> = {
  'in-transaction': 'A transaction was open; it is rolled back.',
  'in-statement': 'A statement was under way, and it is not known whether it took effect.',
  'temporary-table': 'The session had temporary tables, which exist on one server only.',
  'holdable-cursor': 'The session had a cursor WITH HOLD, which exists on one server only.',
  'advisory-lock': 'The session held an advisory lock, which exists on one server only.',
  copy: 'A COPY was under way, and it is not known whether it took effect.',
  'md5-login': 'The login was by md5, which cannot be repeated for the client; SCRAM can.',
  'no-key': 'The balancer could not learn how to log in again for this client.',
  'login-refused': 'The next server refused the login that the balancer repeated for this client.',
  'state-unknown': 'What the session had set or held could not be learned before its server was lost.',
  'sequence-value': 'The value of a sequence was asked for that the session had drawn on another server.',
  'settings-refused': 'Settings of the session could not be read, or were refused by the next server.',
  'hold-expired': 'No server could take the session for as long as clients are held.',
  'hold-full': 'More clients wait at this balancer than it can hold.',
  replication: 'A replication connection belongs to one server.',
}

export function cutResponse(service: string, reason: CutReason): Buffer {
  const isInDoubt = reason === 'in-statement' || reason === 'copy'
  return errorResponse({
    severity: 'FATAL',
    code: isInDoubt ? '08007' : '57P01',
    message: `terminating connection: the server behind ${service} is not the same any more`,
    detail: SENTENCES[reason],
    hint: isInDoubt ? 'Connect again and look whether it took effect.' : 'Connect again.',
  })
}

const UNAVAILABLE = {
  'hold-full': 'More clients wait at this balancer than it can hold.',
  'hold-expired': 'None could be reached for as long as clients are held.',
  lost: 'It was lost during the login.',
} as const

export function unavailable(service: string, why: keyof typeof UNAVAILABLE): Buffer {
  const detail = UNAVAILABLE[why]
  const said = `no server of ${service} can take a connection at the moment`
  return errorResponse({ severity: 'FATAL', code: '57P03', message: said, detail })
}

export function protocolViolation(what: string): Buffer {
  return errorResponse({ severity: 'FATAL', code: '08P01', message: what })
}

export function heldNotice(service: string, forMs: number): Buffer {
  const said = `held: the server of ${service} changes, since ${Math.round(forMs / 1_000)} s`
  return errorResponse({ severity: 'NOTICE', code: '00000', message: said })
}

/** The server ends this connection by itself, whatever the reason. */
export function isFatal(fields: ReadonlyMap<string, string>): boolean {
  const severity = fields.get('V') ?? fields.get('S')
  return severity === 'FATAL' || severity === 'PANIC'
}

/**
 * The server goes, and its sessions with it: a shutdown, the end of the postmaster (57P01), the crash of another backend
 * (57P02, first as a warning). Other ends are meant for this session alone, such as a limit on idle ones.
 */
export function isFarewell(fields: ReadonlyMap<string, string>): boolean {
  const code = fields.get('C')
  return code === '57P01' || code === '57P02'
}

/** currval or lastval, in a session that has drawn nothing from the sequence here: named by the function that says so. */
export function lacksSequence(fields: ReadonlyMap<string, string>): boolean {
  const routine = fields.get('R')
  return fields.get('C') === '55000' && (routine === 'currval_oid' || routine === 'lastval')
}

/**
 * A login that was refused for a reason that passes: the server starts or ends, has no free connection for a moment, or
 * its pg_hba.conf is closed to clients because it is not a proper primary yet, or no longer.
 */
export function mayPass(fields: ReadonlyMap<string, string>): 'soon' | 'perhaps' | 'never' {
  const code = fields.get('C') ?? ''
  if (code === '57P03' || code === '57P01' || code === '57P02') return 'soon'
  return code === '28000' && fields.get('R') === 'ClientAuthentication' ? 'perhaps' : 'never'
}
