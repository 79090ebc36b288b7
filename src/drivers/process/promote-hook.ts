/**
 * Telling a running standby that it is the primary now. Its new term is in the term file before it is told, so that a
 * program woken by a signal can read it there.
 *
 * An HTTP hook may fail in two ways that must not be confused: it was not told (refused, or answered with anything but
 * 2xx), or that is not known (no answer). In the second case it may already act as primary.
 */
import type { Term } from '../../core/model.ts'
import { UnderstudyError } from '../../errors.ts'
import type { HttpsTerms } from '../../lib/http-question.ts'
import { type ProcessIdentity, signal } from '../../lib/proc.ts'
import { refusal } from '../driver-refusal.ts'
import { exchange } from './health-check.ts'
import type { PromoteOptions } from './options.ts'

/** A program that takes over does little before it answers; one that takes longer than this is not taking over. */
const HOOK_TIMEOUT_MS = 2_000

export interface PromoteRequest {
  readonly hook: PromoteOptions | null
  readonly identity: ProcessIdentity
  readonly host: string
  readonly port: number
  /** The program speaks TLS on its port. */
  readonly https: HttpsTerms | undefined
  readonly term: Term
}

/** Resolves when it was told. UND_REFUSED: it was not and is standby still. UND_TIMED_OUT: it may have been. */
export async function tellPromotion(request: PromoteRequest): Promise<void> {
  const { hook, identity, term } = request
  if (hook === null) return
  if ('signal' in hook) {
    // Only the leader: unlike SIGTERM, a signal of the user's own choice kills a process that does not expect it.
    if (!signal(identity, hook.signal)) throw refusal('the standby ended before it was told')
    return
  }
  const { host, port, https } = request
  const body = JSON.stringify({ role: 'primary', term })
  const target = { host, port, path: hook.http, timeoutMs: HOOK_TIMEOUT_MS, ...(https && { https }) }
  const answer = await exchange(target, 'POST', body).catch((cause: unknown) => {
    throw refusal(`the hook ${hook.http} cannot be asked: ${String(cause)}`, cause)
  })
  if (answer.status !== undefined && answer.status >= 200 && answer.status < 300) return
  const said = `POST ${hook.http} on ${host}:${port}: ${answer.status ?? answer.problem}`
  if (answer.status !== undefined || answer.refused) {
    throw refusal(`the standby does not take over: ${said}`)
  }
  throw new UnderstudyError('UND_TIMED_OUT', `it is not known whether the standby takes over: ${said}`)
}
