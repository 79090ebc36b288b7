/**
 * One request of one client, from its head to the end of its answer, over as many attempts as it takes.
 *
 * It is always in exactly one state: held, waiting for its turn to retry, in an attempt at a target, or over. What may
 * happen after a failure is decided in retry.ts; here it is done. Whatever ends it, it leaves every queue on the same
 * one way out.
 *
 * The point of no return is the first byte of the answer that goes to the client. Before it, the client knows nothing
 * of what happens behind the balancer. After it, the only honest way to report a failure is to close the connection.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Cancel } from '../../lib/clock.ts'
import type { Held } from '../hold.ts'
import type { LiveRoute } from '../live-route.ts'
import { rankOf } from '../pick.ts'
import { cutSocket } from '../socket-end.ts'
import type { LiveTarget } from '../target.ts'
import { CONNECT_MS, LAST_CONNECT_MS } from '../target.ts'
import { Attempt, type AttemptEvents, type Outgoing } from './attempt.ts'
import { ExchangeDeadline, type Phase } from './exchange-deadline.ts'
import {
  asciiLower,
  endToEnd,
  framingOf,
  isEventStream,
  pairsOf,
  type RawHeaders,
  requestHead,
  safeTrailers,
  valuesOf,
} from './headers.ts'
import { answer, headBytes, knownFate, type Reason } from './own-answer.ts'
import { RequestBody } from './request-body.ts'
import type { ResponseHead } from './response-parser.ts'
import { afterFailure, type Failure, mayBeRepeated } from './retry.ts'

/** A request that cannot be repeated goes only over a connection that was alive so recently. */
const SURELY_ALIVE_MS = 1_000
const FRESH_ONLY = -1
/**
 * A process that is killed has its connections broken a moment before it refuses new ones (measured on Linux 6: 9 of 40 that
 * came right after the break were accepted, and broken too). So the same place is not tried again at once.
 */
const SAME_PLACE_AFTER_MS = 50

/** An early answer says that the connection stays only if no more than this of the request is still to come. */
const WORTH_READING_BYTES = 64 * 1024

export interface Asked {
  /** The client waits for `100 Continue` before it sends the body. */
  readonly expectsContinue: boolean
  /** The protocol it wants to change to. */
  readonly upgrade: string | undefined
  /** The instance agreed: the connection is no longer HTTP. Calls `over` when it is closed; returns how to close it. */
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
  /** Until when the answer of a silent target is waited for. */
  #patienceUntilMs: number | undefined
  #holdUntilMs: number | undefined
  #everSent = false
  #answerBegun = false
  #isHeadFlushed = false
  #fresh = false
  #resets = 0
  #moves = 0
  /** It has one of the retry slots. */
  #retrying = false
  /** Until when it waits for one. */
  #slotUntilMs: number | undefined
  readonly #deadline: ExchangeDeadline
  #seenBodyBytes = 0
  #cancelPause: Cancel | undefined
  #over = false
  #whenOver = (): void => {}

  constructor(entrance: LiveRoute, request: IncomingMessage, response: ServerResponse, asked: Asked) {
    this.#entrance = entrance
    this.#request = request
    this.#response = response
    this.#asked = asked
    const { method = 'GET', url = '/', rawHeaders } = request
    const framing = framingOf(rawHeaders)
    const clientAddress = request.socket.remoteAddress ?? 'unknown'
    const { address: reachedAt } = entrance
    const head = requestHead({ method, url, rawHeaders, reachedAt, clientAddress, framing, upgrade: asked.upgrade })
    this.#deadline = new ExchangeDeadline(entrance.limits, entrance.house.clock.mono())
    this.#outgoing = { method, head, body: new RequestBody(request, framing) }
    this.#mayBeRepeated =
      asked.upgrade === undefined && mayBeRepeated(method, valuesOf(rawHeaders, 'idempotency-key').length > 0)
  }

  /** `over` is called once, when it needs nothing of this balancer any more. */
  start(over: () => void): void {
    this.#whenOver = over
    this.#entrance.counters.requests += 1
    this.#entrance.counters.open += 1
    this.#entrance.house.budget.requestOpened()
    this.#response.on('close', () => this.abandon())
    this.#response.on('drain', () => {
      this.#deadline.moved()
      this.#attempt?.resume()
    })
    this.#choose()
  }

  /** The client is gone, or its connection must not be used any more. */
  abandon(): void {
    if (!this.#cutTunnel) this.#finish()
  }

  /** What remains of its body cannot be understood: the client's parser stopped there. */
  spoil(detail: string): void {
    if (this.#over || this.#cutTunnel) return
    if (this.#answerBegun) return this.#cut()
    this.#fail(this.#everSent ? 'bad-body' : 'bad-request', detail)
  }

  /** Called every few tens of milliseconds. */
  tick(nowMs: number): void {
    if (this.#over || this.#cutTunnel) return
    const { body } = this.#outgoing
    if (body.passedBytes !== this.#seenBodyBytes) this.#deadline.moved()
    this.#seenBodyBytes = body.passedBytes
    const phase = this.#phase
    if (phase === 'answer') this.#flushHead()
    if (this.#deadline.isOver(phase, nowMs)) this.#outOfTime(phase)
    else if (this.#slotUntilMs !== undefined && nowMs >= this.#slotUntilMs) this.#fail('no-answer')
    else if (this.#patienceUntilMs !== undefined && nowMs >= this.#patienceUntilMs) this.#outOfPatience()
  }

  #flushHead(): void {
    if (this.#isHeadFlushed) return
    this.#isHeadFlushed = true
    this.#response.flushHeaders()
  }

  get #phase(): Phase {
    if (this.#answerBegun) return 'answer'
    if (!this.#attempt?.isSent) return 'waiting'
    return this.#outgoing.body.isAwaited ? 'body' : 'head'
  }

  #outOfTime(phase: Phase): void {
    if (phase === 'answer') this.#cut()
    else this.#fail(phase === 'body' ? 'body-too-slow' : 'answer-too-slow')
  }

  #outOfPatience(): void {
    this.#patienceUntilMs = undefined
    if (this.#attempt && rankOf(this.#attempt.target.belief) === 'silent') this.#fail('no-answer')
  }

  // Held: a target can work again, or it took too long.

  go(): void {
    this.#tried.clear()
    this.#choose()
  }

  giveUp(): void {
    this.#fail(this.#entrance.isFull ? 'instances-full' : 'no-instance')
  }

  // AttemptEvents: how the attempt goes.

  onSent(): void {
    if (this.#asked.expectsContinue && !this.#everSent) this.#response.writeContinue()
    this.#everSent = true
    this.#deadline.moved()
    if (this.#attempt && rankOf(this.#attempt.target.belief) === 'silent') this.#limitPatience()
  }

  /** To clients of HTTP/1.1 only: older ones would take it for the answer (RFC 9110 §15.2). */
  onInterim(head: ResponseHead): void {
    this.#deadline.moved()
    const { socket } = this.#response
    if (this.#request.httpVersion !== '1.1' || !socket || this.#answerBegun) return
    socket.write(headBytes(head.status, head.message, endToEnd(head.rawHeaders)), 'latin1')
  }

  onHead(head: ResponseHead): void {
    this.#patienceUntilMs = undefined
    this.#answerBegun = true
    this.#deadline.moved()
    this.#leaveSlot()
    if (this.#entrance.closing || this.#asked.upgrade !== undefined || this.#isTooEarly(head.status)) {
      this.#response.shouldKeepAlive = false
    }
    this.#response.writeHead(head.status, head.message, this.#headersFor(head))
    // Node keeps a head until the first byte of the body comes, which saves a packet; of a stream that may be hours later.
    const hasLength = !head.chunked && head.keepAlive // known without a look at each header
    if (hasLength || !isEventStream(head.rawHeaders)) return
    this.#attempt?.becomesStream()
    this.#flushHead()
  }

  onBody(chunk: Buffer): void {
    this.#deadline.moved()
    if (!this.#response.write(chunk)) this.#attempt?.pause()
  }

  onEnd(rawTrailers: RawHeaders): void {
    const trailers = safeTrailers(rawTrailers)
    if (trailers.length > 0) this.#response.addTrailers(pairsOf(trailers))
    this.#finish()
    this.#response.end()
  }

  onUpgrade(head: ResponseHead, instance: Socket, rest: Buffer): void {
    if (this.#asked.upgrade === undefined) {
      instance.destroy() // no client asked for another protocol: there is no way to pass this on
      this.onFailed('reset', 'it changes to a protocol that was not asked for')
      return
    }
    this.#answerBegun = true
    this.#patienceUntilMs = undefined
    this.#leaveSlot()
    this.#attempt?.becomesStream()
    this.#cutTunnel = this.#asked.onUpgraded(head, instance, rest, () => this.#finish())
  }

  onFailed(failure: Failure, unreadable = ''): void {
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
      this.#limitPatience()
      return
    }
    this.#dropAttempt()
    if (next === 'cut') this.#cut()
    else if (next === 'unknown-fate' && unreadable !== '') this.#fail('bad-answer', unreadable)
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
      const { house, route } = this.#entrance
      this.#slotUntilMs = house.clock.mono() + route.holdMs
      house.budget.whenAllowed(this.#retry)
    } else if (again) {
      this.#waitForTarget() // it was the only one, and the second try went no better
    } else {
      this.#choose()
    }
  }

  readonly #retry = (): void => {
    this.#retrying = true
    this.#slotUntilMs = undefined
    const { house } = this.#entrance
    if (this.#entrance.choose(this.#tried, this.#mayBeRepeated)) this.#choose()
    else this.#cancelPause = house.clock.after(SAME_PLACE_AFTER_MS, () => this.#choose())
  }

  #waitForTarget(): void {
    this.#leaveSlot()
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
  #limitPatience(): void {
    if (!this.#mayBeRepeated || this.#answerBegun) return
    this.#patienceUntilMs = this.#entrance.house.clock.mono() + this.#entrance.route.holdMs
  }

  /** The answer came before the request was whole, and so much of that is missing that the connection had better end. */
  #isTooEarly(status: number): boolean {
    return status >= 400 && this.#outgoing.body.missingBytes > WORTH_READING_BYTES
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
    this.#patienceUntilMs = undefined
    this.#leaveSlot()
    this.#attempt?.end()
    this.#attempt = undefined
  }

  #cut(): void {
    this.#entrance.counters.failed += 1
    this.#finish()
    // A reset, so that a client that reads until the end of the connection does not take the part for the whole.
    cutSocket(this.#request.socket)
  }

  #fail(wish: Reason, detail = ''): void {
    if (this.#over) return
    const reason = knownFate(wish, this.#everSent)
    this.#entrance.counters.failed += 1
    if (reason === 'instances-full') this.#entrance.counters.full += 1
    const { isComplete } = this.#outgoing.body
    this.#finish()
    // What remains of the body would have to be read before the next request: rather close.
    if (!isComplete || this.#asked.upgrade !== undefined) {
      this.#response.shouldKeepAlive = false
    }
    answer(this.#response, reason, detail)
  }

  /** What a retry leads to is known, or it is given up: the next one may go. */
  #leaveSlot(): void {
    if (!this.#retrying) return
    this.#retrying = false
    this.#entrance.house.budget.retryEnded()
  }

  #finish(): void {
    if (this.#over) return
    this.#over = true
    this.#dropAttempt()
    const { counters, hold, house } = this.#entrance
    this.#cancelPause?.()
    hold.remove(this)
    house.budget.forget(this.#retry)
    this.#leaveSlot()
    this.#slotUntilMs = undefined
    if (!this.#outgoing.body.isComplete) this.#outgoing.body.discard()
    house.budget.requestClosed()
    counters.open -= 1
    this.#whenOver()
  }
}
