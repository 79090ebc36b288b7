/**
 * Asking a cluster, not a node: the nodes are asked in turn, the one that answered last first, until one answers. Every
 * agent knows the whole cluster, so any answer will do.
 *
 * The trap is a call that changes something and breaks off half way: it may have happened. What can be said twice
 * without harm is asked of the next node; what cannot is reported as UND_TIMED_OUT, which says just that.
 */
import type { Refusal } from '../api/api-types.ts'
import { ERRORS, type ErrorCode, UnderstudyError } from '../errors.ts'

export interface Address {
  readonly host: string
  readonly port: number
}

export interface Request {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** Until the whole answer is here; of a stream: until its head is. */
  readonly timeoutMs: number
  /** The answer has no end. */
  readonly stream?: true
  /** May be said to the next node when this one broke off: reads, and writes that mean the same when said twice. */
  readonly repeatable: boolean
  readonly signal?: AbortSignal | undefined
}

export class Nodes {
  readonly #addresses: readonly Address[]
  readonly #token: string
  /** Which address is asked first. */
  #preferred = 0

  constructor(addresses: readonly Address[], token: string) {
    this.#addresses = addresses
    this.#token = token
  }

  /** The first answer of any node. Rejects with UND_NOT_RUNNING when there is none, and with what a refusal says. */
  async ask(request: Request): Promise<Response> {
    const silent: { readonly at: string; readonly why: string }[] = []
    for (let turn = 0; turn < this.#addresses.length; turn++) {
      const at = (this.#preferred + turn) % this.#addresses.length
      const address = this.#addresses[at] as Address
      const outcome = await this.#askOne(address, request)
      // Not `instanceof`: a library may have put a class of its own in the place of the global Response.
      if (!('why' in outcome)) {
        const refusal = outcome.ok ? undefined : await readRefusal(outcome)
        if (refusal?.code === 'UND_STARTING') {
          silent.push({ at: `${address.host}:${address.port}`, why: 'its agent has just been started' })
          continue
        }
        this.#preferred = at
        if (refusal) throw refusal
        return outcome
      }
      request.signal?.throwIfAborted()
      if (outcome.sent && !request.repeatable) throw unclear(address, outcome.why)
      silent.push({ at: `${address.host}:${address.port}`, why: outcome.why })
    }
    throw nobodyAnswers(silent)
  }

  /** The node that answered last has let us down: begin with another one. */
  avoidLast(): void {
    this.#preferred = (this.#preferred + 1) % Math.max(1, this.#addresses.length)
  }

  async #askOne(address: Address, request: Request): Promise<Response | Silence> {
    const late = new AbortController()
    const deadline = setTimeout(() => late.abort(), request.timeoutMs)
    try {
      const response = await fetch(`${origin(address)}${request.path}`, {
        method: request.method,
        headers: { ...request.headers, authorization: `Bearer ${this.#token}` },
        ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
        signal: request.signal ? AbortSignal.any([late.signal, request.signal]) : late.signal,
      })
      if (!isOurs(response)) return { sent: false, why: 'something else answers there' }
      if (request.stream) return response
      // An agent that hangs between the head and the end of its answer has not answered.
      return new Response(await response.text(), { status: response.status })
    } catch (error) {
      if (late.signal.aborted) return { sent: true, why: `no answer within ${request.timeoutMs} ms` }
      return silence(error)
    } finally {
      clearTimeout(deadline)
    }
  }
}

/** Why there was no answer, and whether the request may have reached an agent. */
interface Silence {
  readonly sent: boolean
  readonly why: string
}

const NEVER_SENT = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL', 'UND_ERR_CONNECT_TIMEOUT'])

function silence(error: unknown): Silence {
  const cause = error instanceof Error ? (error.cause as { code?: unknown; message?: unknown } | undefined) : undefined
  const code = typeof cause?.code === 'string' ? cause.code : ''
  if (code === 'ECONNREFUSED') return { sent: false, why: 'no program listens' }
  return { sent: !NEVER_SENT.has(code), why: code || String(cause?.message ?? error) }
}

/** A foreign web server must not pass for an agent: our answers are JSON, text of ours, or events. */
function isOurs(response: Response): boolean {
  const type = response.headers.get('content-type') ?? ''
  return /^(application\/json|text\/event-stream)/.test(type)
}

async function readRefusal(response: Response): Promise<UnderstudyError> {
  const body = (await response.json().catch(() => undefined)) as Partial<Refusal> | undefined
  const code = body?.error?.code
  const message = body?.error?.message ?? `HTTP status ${response.status}`
  return new UnderstudyError(code !== undefined && isCode(code) ? code : 'UND_INTERNAL', message)
}

/** A newer agent may know codes that we do not. */
function isCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code)
}

/** Every address with its reason; those with the same reason together. */
function nobodyAnswers(silent: readonly { readonly at: string; readonly why: string }[]): UnderstudyError {
  const reasons = [...new Set(silent.map(({ why }) => why))].map((why) => {
    const places = silent.filter((one) => one.why === why).map(({ at }) => at)
    return `${why} at ${places.join(', ')}`
  })
  return new UnderstudyError('UND_NOT_RUNNING', `no agent answers: ${reasons.join('; ')}`)
}

function unclear(address: Address, why: string): UnderstudyError {
  const message = `${origin(address)} broke off (${why}): it may still happen; look at the status before asking again`
  return new UnderstudyError('UND_TIMED_OUT', message)
}

function origin({ host, port }: Address): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}
