/**
 * One request of one client, from its head to the end of its answer, over as many attempts as it takes.
 *
 * It is always in exactly one place: being chosen for (for no time at all), held, waiting for its turn to retry,
 * connecting to a target, or waiting for and passing on an answer. What may happen after a failure is decided in
 * retry.ts; here it is done. Whatever ends it, it leaves its target and every queue on the same one way out.
 *
 * The point of no return is the first byte of the answer that goes to the client. Before it, the client knows nothing
 * of what happens behind the door. After it, the only honest way to report a failure is to cut the connection.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import {
  type AnswerListener,
  type ConnectAttempt,
  type ConnectFailure,
  type Connection,
  openSocket,
} from './connection.ts'
import type { Entrance } from './entrance.ts'
import { endToEnd, framingOf, type RawHeaders, requestHead, safeTrailers, valuesOf } from './headers.ts'
import type { Held } from './hold.ts'
import { answer, type Reason } from './own-answer.ts'
import { rankOf } from './pick.ts'
import { RequestBody } from './request-body.ts'
import type { ResponseHead } from './response-parser.ts'
import { afterFailure, type Failure, mayBeRepeated } from './retry.ts'
import type { Hanging, LiveTarget } from './target.ts'

/** How long to wait for a connection when there is another target to turn to. */
export const CONNECT_MS = 300
/** And when there is none: long enough for one lost SYN to be sent again, which the kernel does after a second. */
export const LAST_CONNECT_MS = 1_200
/** A request that cannot be repeated goes only over a connection that was alive so recently. */
const SURELY_ALIVE_MS = 1_000

export interface Asked {
  /** The client waits for `100 Continue` before it sends the body. */
  readonly expectsContinue: boolean
  /** The protocol it wants to change to. */
  readonly upgrade: string | undefined
  /** The instance agreed: the connection is no longer HTTP. */
  onUpgraded(head: ResponseHead, instance: Socket, rest: Buffer): UpgradedTunnel
}

export interface UpgradedTunnel {
  cut(): void
  /** Set by the exchange: called when both sockets are closed. */
  over: () => void
}

const NONE: ReadonlySet<LiveTarget> = new Set()

export class Exchange implements Hanging, Held, AnswerListener {
  readonly #entrance: Entrance
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #asked: Asked
  readonly #body: RequestBody
  readonly #head: string
  readonly #mayBeRepeated: boolean
  readonly #tried = new Set<LiveTarget>()
  #target: LiveTarget | undefined
  #connecting: ConnectAttempt | undefined
  #connection: Connection | undefined
  #tunnel: UpgradedTunnel | undefined
  #patience: NodeJS.Timeout | undefined
  #holdUntilMs: number | undefined
  #continued = false
  #everSent = false
  #answerBegun = false
  #fresh = false
  #resets = 0
  #moves = 0
  #retrying = false
  #over = false

  constructor(entrance: Entrance, request: IncomingMessage, response: ServerResponse, asked: Asked) {
    this.#entrance = entrance
    this.#request = request
    this.#response = response
    this.#asked = asked
    const { method = 'GET', url = '/', rawHeaders } = request
    const framing = framingOf(rawHeaders)
    this.#body = new RequestBody(request, framing)
    this.#mayBeRepeated =
      asked.upgrade === undefined && mayBeRepeated(method, valuesOf(rawHeaders, 'idempotency-key').length > 0)
    const clientAddress = request.socket.remoteAddress ?? 'unknown'
    this.#head = requestHead({ method, url, rawHeaders, clientAddress, framing, upgrade: asked.upgrade })
  }

  start(): void {
    this.#entrance.counters.requests += 1
    this.#entrance.counters.open += 1
    this.#entrance.house.budget.requestOpened()
    this.#response.on('close', () => this.abandon())
    this.#response.on('drain', () => this.#connection?.resume())
    this.#choose()
  }

  /** The client is gone, or its connection must not be used any more: nobody waits for an answer. */
  abandon(): void {
    if (this.#over || this.#tunnel) return
    this.#dropAttempt()
    this.#finish()
  }

  get answerBegun(): boolean {
    return this.#answerBegun
  }

  // Held: a target can work again, or it took too long.

  readonly go = (): void => {
    this.#tried.clear()
    this.#choose()
  }

  giveUp(): void {
    this.#fail(this.#everSent ? 'no-answer' : 'no-instance')
  }

  // Hanging: what the target says.

  onHung(): void {
    if (this.#failed('hung') === 'wait') this.#limitPatience()
  }

  onLost(): void {
    if (this.#tunnel) this.#tunnel.cut()
    else this.#failed(this.#connection ? 'lost' : 'unreached')
  }

  // AnswerListener: what the instance answers.

  onHead(head: ResponseHead): void {
    this.#target?.noteAnswered(this)
    clearTimeout(this.#patience)
    this.#answerBegun = true
    if (this.#entrance.closing || this.#asked.upgrade !== undefined) this.#response.shouldKeepAlive = false
    this.#response.writeHead(head.status, head.message, this.#headersFor(head))
  }

  onBody(chunk: Buffer): void {
    if (!this.#response.write(chunk)) this.#connection?.pause()
  }

  onEnd(rawTrailers: RawHeaders): void {
    const trailers = safeTrailers(rawTrailers)
    if (trailers.length > 0) this.#response.addTrailers(pairs(trailers))
    this.#body.detach()
    this.#connection = undefined
    this.#finish()
    this.#response.end()
  }

  onUpgrade(head: ResponseHead, instance: Socket, rest: Buffer): void {
    this.#target?.noteAnswered(this)
    this.#connection = undefined
    if (this.#asked.upgrade === undefined) {
      instance.destroy() // nobody asked for another protocol: there is no way to pass this on
      this.#failed('reset')
      return
    }
    this.#answerBegun = true
    const tunnel = this.#asked.onUpgraded(head, instance, rest)
    tunnel.over = () => this.#finish()
    this.#tunnel = tunnel
  }

  onBroken(): void {
    this.#connection = undefined
    this.#target?.noteReset()
    this.#failed('reset')
  }

  onDrain(): void {
    this.#body.drained()
  }

  // The attempts.

  #choose(): void {
    if (this.#over) return
    const target = this.#nextTarget()
    if (!target) {
      this.#waitForTarget()
      return
    }
    this.#target = target
    target.join(this)
    const withinMs = this.#mayBeRepeated ? Number.POSITIVE_INFINITY : SURELY_ALIVE_MS
    const connection = this.#fresh ? undefined : target.pool.take(withinMs)
    if (connection) this.#send(target, connection)
    else this.#connect(target)
  }

  /** One that was not tried yet; after a reset, when there is no other, the same one again. */
  #nextTarget(): LiveTarget | undefined {
    const other = this.#entrance.choose(this.#tried, this.#mayBeRepeated)
    if (other || this.#resets === 0 || this.#tried.size !== 1) return other
    return this.#entrance.choose(NONE, this.#mayBeRepeated)
  }

  #connect(target: LiveTarget): void {
    const timeoutMs = this.#entrance.isLast(target, this.#tried) ? LAST_CONNECT_MS : CONNECT_MS
    this.#connecting = openSocket(target.spec.host, target.spec.port, timeoutMs, (result) => {
      this.#connecting = undefined
      if (typeof result === 'string') this.#unreached(target, result)
      else this.#send(target, target.pool.adopt(result))
    })
  }

  #unreached(target: LiveTarget, failure: ConnectFailure): void {
    if (failure === 'refused') target.noteRefused()
    if (failure === 'timeout') target.noteReset()
    this.#failed('unreached')
  }

  #send(target: LiveTarget, connection: Connection): void {
    this.#connection = connection
    this.#everSent = true
    target.noteSent(this)
    if (this.#asked.expectsContinue && !this.#continued) {
      this.#continued = true
      this.#response.writeContinue()
    }
    if (rankOf(target.belief) === 'silent') this.#limitPatience()
    const { framing } = this.#body
    connection.begin(this.#request.method ?? 'GET', this.#head, framing !== 'none', framing === 'chunked', this)
    this.#body.attach(connection)
  }

  /** Does what retry.ts says, and returns it. */
  #failed(failure: Failure): 'wait' | 'done' {
    const target = this.#target
    if (this.#over || !target) return 'done'
    const next = afterFailure(failure, {
      mayBeRepeated: this.#mayBeRepeated,
      answerBegun: this.#answerBegun,
      bodyKept: this.#body.replayable,
      resets: this.#resets,
      moves: this.#moves,
      betterPlace: failure === 'hung' && this.#entrance.hasBetterPlace(new Set([...this.#tried, target])),
    })
    if (next === 'wait') return 'wait'
    this.#dropAttempt()
    if (next === 'cut') this.#cut()
    else if (next === 'unknown-fate') this.#fail('unknown-fate')
    else this.#tryAgain(failure, target)
    return 'done'
  }

  #tryAgain(failure: Failure, left: LiveTarget): void {
    this.#tried.add(left)
    this.#entrance.counters.retried += 1
    if (failure === 'hung') this.#moves += 1
    if (failure !== 'unreached') this.#fresh = true
    if (failure !== 'reset') {
      this.#choose()
      return
    }
    this.#resets += 1
    this.#entrance.house.budget.whenAllowed(this.#retry)
  }

  readonly #retry = (): void => {
    this.#retrying = true
    this.#choose()
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
  #limitPatience(): void {
    if (!this.#mayBeRepeated || this.#answerBegun) return
    const target = this.#target
    clearTimeout(this.#patience)
    this.#patience = setTimeout(() => {
      if (this.#over || this.#answerBegun || this.#target !== target) return
      if (!target || rankOf(target.belief) !== 'silent') return
      this.#dropAttempt()
      this.#fail('no-answer')
    }, this.#entrance.route.holdMs)
  }

  #headersFor(head: ResponseHead): string[] {
    const headers = endToEnd(head.rawHeaders)
    const bodyless = this.#request.method === 'HEAD' || head.status === 204 || head.status === 304
    if (head.chunked && !bodyless && this.#request.httpVersion === '1.1') return headers
    // Trailers can follow a chunked body only, and Node refuses to announce them elsewhere.
    return headers.filter((_, at) => headers[at - (at % 2)]?.toLowerCase() !== 'trailer')
  }

  // The ways out.

  #dropAttempt(): void {
    clearTimeout(this.#patience)
    this.#connecting?.cancel()
    this.#connecting = undefined
    this.#body.detach()
    this.#connection?.destroy()
    this.#connection = undefined
    this.#target?.leave(this)
    this.#target = undefined
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
    if (this.#body.framing !== 'none' || this.#asked.upgrade !== undefined) this.#response.shouldKeepAlive = false
    answer(this.#response, reason)
  }

  #finish(): void {
    if (this.#over) return
    this.#over = true
    clearTimeout(this.#patience)
    this.#target?.leave(this)
    this.#target = undefined
    const { counters, hold, house } = this.#entrance
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
