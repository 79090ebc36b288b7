/**
 * One request of one client, from its head to the end of its answer, over as many attempts as it takes.
 *
 * It is always in exactly one place: held, waiting for its turn to retry, in an attempt at a target, or over. What may
 * happen after a failure is decided in retry.ts; here it is done. Whatever ends it, it leaves every queue on the same one
 * way out.
 *
 * The point of no return is the first byte of the answer that goes to the client. Before it, the client knows nothing
 * of what happens behind the door. After it, the only honest way to report a failure is to cut the connection.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Cancel } from '../../lib/clock.ts'
import type { Held } from '../hold.ts'
import type { LiveRoute } from '../live-route.ts'
import { rankOf } from '../pick.ts'
import type { LiveTarget } from '../target.ts'
import { Attempt, type AttemptEvents, type Outgoing } from './attempt.ts'
import { asciiLower, endToEnd, framingOf, type RawHeaders, requestHead, safeTrailers, valuesOf } from './headers.ts'
import { answer, type Reason } from './own-answer.ts'
import { RequestBody } from './request-body.ts'
import type { ResponseHead } from './response-parser.ts'
import { afterFailure, type Failure, mayBeRepeated } from './retry.ts'

/** How long to wait for a connection when there is another target to turn to. */
export const CONNECT_MS = 300
/** And when there is none: long enough for one lost SYN to be sent again, which the kernel does after a second. */
export const LAST_CONNECT_MS = 1_200
/** A request that cannot be repeated goes only over a connection that was alive so recently. */
const SURELY_ALIVE_MS = 1_000
const FRESH_ONLY = -1
/**
 * A process that is killed has its connections broken a moment before it refuses new ones (measured on Linux 6: 9 of 40 that
 * came right after the break were accepted, and broken too). So the same place is not tried again at once.
 */
const SAME_PLACE_AFTER_MS = 50

export interface Asked {
  /** The client waits for `100 Continue` before it sends the body. */
  readonly expectsContinue: boolean
  /** The protocol it wants to change to. */
  readonly upgrade: string | undefined
  /** The instance agreed: the connection is no longer HTTP. Calls `over` when it is closed; returns how to cut it. */
  onUpgraded(head: ResponseHead, instance: Socket, rest: Buffer, over: () => void): () => void
}

const NONE: ReadonlySet<LiveTarget> = new Set()

export class Exchange implements Held, AttemptEvents {
  readonly #entrance: LiveRoute
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #asked: Asked
  readonly #outgoing: Outgoing
  readonly #mayBeRepeated: boolean
  readonly #tried = new Set<LiveTarget>()
  #attempt: Attempt | undefined
  #cutTunnel: (() => void) | undefined
  #patience: NodeJS.Timeout | undefined
  #holdUntilMs: number | undefined
  #everSent = false
  #answerBegun = false
  #fresh = false
  #resets = 0
  #moves = 0
  #retrying = false
  #cancelPause: Cancel | undefined
  #over = false

  constructor(entrance: LiveRoute, request: IncomingMessage, response: ServerResponse, asked: Asked) {
    this.#entrance = entrance
    this.#request = request
    this.#response = response
    this.#asked = asked
    const { method = 'GET', url = '/', rawHeaders } = request
    const framing = framingOf(rawHeaders)
    const clientAddress = request.socket.remoteAddress ?? 'unknown'
    const head = requestHead({ method, url, rawHeaders, clientAddress, framing, upgrade: asked.upgrade })
    this.#outgoing = { method, head, body: new RequestBody(request, framing) }
    this.#mayBeRepeated =
      asked.upgrade === undefined && mayBeRepeated(method, valuesOf(rawHeaders, 'idempotency-key').length > 0)
  }

  start(): void {
    this.#entrance.counters.requests += 1
    this.#entrance.counters.open += 1
    this.#entrance.house.budget.requestOpened()
    this.#response.on('close', () => this.abandon())
    this.#response.on('drain', () => this.#attempt?.resume())
    this.#choose()
  }

  /** The client is gone, or its connection must not be used any more: nobody waits for an answer. */
  abandon(): void {
    if (!this.#cutTunnel) this.#finish()
  }

  get answerBegun(): boolean {
    return this.#answerBegun
  }

  // Held: a target can work again, or it took too long.

  go(): void {
    this.#tried.clear()
    this.#choose()
  }

  giveUp(): void {
    this.#fail(this.#everSent ? 'no-answer' : 'no-instance')
  }

  // AttemptEvents: how the attempt goes.

  onSent(): void {
    if (this.#asked.expectsContinue && !this.#everSent) this.#response.writeContinue()
    this.#everSent = true
    if (this.#attempt && rankOf(this.#attempt.target.belief) === 'silent') this.#limitPatience(this.#attempt)
  }

  onHead(head: ResponseHead): void {
    clearTimeout(this.#patience)
    this.#answerBegun = true
    if (this.#entrance.closing || this.#asked.upgrade !== undefined) this.#response.shouldKeepAlive = false
    this.#response.writeHead(head.status, head.message, this.#headersFor(head))
  }

  onBody(chunk: Buffer): void {
    if (!this.#response.write(chunk)) this.#attempt?.pause()
  }

  onEnd(rawTrailers: RawHeaders): void {
    const trailers = safeTrailers(rawTrailers)
    if (trailers.length > 0) this.#response.addTrailers(pairs(trailers))
    this.#finish()
    this.#response.end()
  }

  onUpgrade(head: ResponseHead, instance: Socket, rest: Buffer): void {
    if (this.#asked.upgrade === undefined) {
      instance.destroy() // nobody asked for another protocol: there is no way to pass this on
      this.onFailed('reset')
      return
    }
    this.#answerBegun = true
    this.#cutTunnel = this.#asked.onUpgraded(head, instance, rest, () => this.#finish())
  }

  onFailed(failure: Failure): void {
    const attempt = this.#attempt
    if (this.#over || !attempt) return
    if (this.#cutTunnel) {
      this.#cutTunnel()
      return
    }
    const { target } = attempt
    const next = afterFailure(failure, {
      mayBeRepeated: this.#mayBeRepeated,
      answerBegun: this.#answerBegun,
      bodyKept: this.#outgoing.body.replayable,
      resets: this.#resets,
      moves: this.#moves,
      betterPlace: failure === 'hung' && this.#entrance.hasBetterPlace(new Set([...this.#tried, target])),
    })
    if (next === 'wait') {
      this.#limitPatience(attempt)
      return
    }
    this.#dropAttempt()
    if (next === 'cut') this.#cut()
    else if (next === 'unknown-fate') this.#fail('unknown-fate')
    else this.#tryAgain(failure, target)
  }

  // The attempts.

  #choose(): void {
    if (this.#over) return
    const target = this.#nextTarget()
    if (!target) {
      this.#waitForTarget()
      return
    }
    const freeWithinMs = this.#mayBeRepeated ? Number.POSITIVE_INFINITY : SURELY_ALIVE_MS
    const connectMs = this.#entrance.isLast(target, this.#tried) ? LAST_CONNECT_MS : CONNECT_MS
    this.#attempt = new Attempt(target, this.#outgoing, this)
    this.#attempt.begin(this.#fresh ? FRESH_ONLY : freeWithinMs, connectMs)
  }

  /** One that was not tried yet; after a reset, when there is no other, the same one again. */
  #nextTarget(): LiveTarget | undefined {
    const other = this.#entrance.choose(this.#tried, this.#mayBeRepeated)
    if (other || this.#resets === 0 || this.#tried.size !== 1) return other
    return this.#entrance.choose(NONE, this.#mayBeRepeated)
  }

  #tryAgain(failure: Failure, left: LiveTarget): void {
    const again = this.#tried.has(left)
    this.#tried.add(left)
    this.#entrance.counters.retried += 1
    if (failure === 'hung') this.#moves += 1
    if (failure !== 'unreached') this.#fresh = true
    if (failure === 'reset') {
      this.#resets += 1
      this.#entrance.house.budget.whenAllowed(this.#retry)
    } else if (again) {
      this.#waitForTarget() // it was the only one, and the second try went no better
    } else {
      this.#choose()
    }
  }

  readonly #retry = (): void => {
    this.#retrying = true
    const { house } = this.#entrance
    if (this.#entrance.choose(this.#tried, this.#mayBeRepeated)) this.#choose()
    else this.#cancelPause = house.clock.after(SAME_PLACE_AFTER_MS, () => this.#choose())
  }

  #waitForTarget(): void {
    const { house, hold, route, counters } = this.#entrance
    const now = house.clock.mono()
    if (this.#holdUntilMs === undefined) {
      this.#holdUntilMs = now + route.holdMs
      counters.held += 1
    }
    if (this.#holdUntilMs <= now) this.giveUp()
    else if (!hold.add(this, this.#holdUntilMs)) this.#fail('too-many-held')
  }

  /** On a target that was given up for silent, one waits as long as one would be held, and no longer. */
  #limitPatience(attempt: Attempt): void {
    if (!this.#mayBeRepeated || this.#answerBegun) return
    clearTimeout(this.#patience)
    this.#patience = setTimeout(() => {
      if (this.#attempt !== attempt || this.#answerBegun || rankOf(attempt.target.belief) !== 'silent') return
      this.#dropAttempt()
      this.#fail('no-answer')
    }, this.#entrance.route.holdMs)
  }

  #headersFor(head: ResponseHead): string[] {
    const headers = endToEnd(head.rawHeaders)
    const bodyless = this.#outgoing.method === 'HEAD' || head.status === 204 || head.status === 304
    if (head.chunked && !bodyless && this.#request.httpVersion === '1.1') return headers
    // Trailers can follow a chunked body only, and Node refuses to announce them elsewhere.
    return headers.filter((_, at) => asciiLower(headers[at - (at % 2)] ?? '') !== 'trailer')
  }

  // The ways out.

  #dropAttempt(): void {
    clearTimeout(this.#patience)
    this.#attempt?.end()
    this.#attempt = undefined
  }

  #cut(): void {
    this.#entrance.counters.failed += 1
    this.#finish()
    this.#response.destroy()
  }

  #fail(reason: Reason): void {
    if (this.#over) return
    this.#entrance.counters.failed += 1
    this.#finish()
    // The rest of a body that nobody will read would have to be read before the next request: rather close.
    if (this.#outgoing.body.framing !== 'none' || this.#asked.upgrade !== undefined) {
      this.#response.shouldKeepAlive = false
    }
    answer(this.#response, reason)
  }

  #finish(): void {
    if (this.#over) return
    this.#over = true
    this.#dropAttempt()
    const { counters, hold, house } = this.#entrance
    this.#cancelPause?.()
    hold.remove(this)
    house.budget.forget(this.#retry)
    if (this.#retrying) house.budget.retryEnded()
    house.budget.requestClosed()
    counters.open -= 1
  }
}

function pairs(raw: RawHeaders): [string, string][] {
  const list: [string, string][] = []
  for (let at = 0; at + 1 < raw.length; at += 2) list.push([raw[at] ?? '', raw[at + 1] ?? ''])
  return list
}
