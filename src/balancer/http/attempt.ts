/**
 * One attempt to have a request answered by one target: over a connection that is free or a fresh one, from the choice of
 * the target until the answer is complete or the attempt has failed. It tells the target what it learned about it and the
 * exchange how it went; what happens next is not decided here.
 */
import type { Socket } from 'node:net'
import type { Hanging, LiveTarget } from '../target.ts'
import type { RawHeaders } from './headers.ts'
import type { AnswerListener, ConnectAttempt, ConnectFailure, Connection } from './instance-connection.ts'
import type { RequestBody } from './request-body.ts'
import type { ResponseHead } from './response-parser.ts'
import type { Failure } from './retry.ts'

export interface Outgoing {
  readonly method: string
  readonly head: string
  readonly body: RequestBody
}

export interface AttemptEvents {
  /** From now on the instance may have seen the request. */
  onSent(): void
  onInterim(head: ResponseHead): void
  onHead(head: ResponseHead): void
  onBody(chunk: Buffer): void
  onEnd(rawTrailers: RawHeaders): void
  onUpgrade(head: ResponseHead, instance: Socket, rest: Buffer): void
  /** After anything but `hung` and `lost` the attempt is over; after those it goes on unless it is ended. */
  onFailed(failure: Failure, unreadable?: string): void
}

export class Attempt implements Hanging, AnswerListener {
  readonly target: LiveTarget
  readonly #outgoing: Outgoing
  readonly #events: AttemptEvents
  #connecting: ConnectAttempt | undefined
  #connection: Connection | undefined
  #over = false
  #isSent = false

  constructor(target: LiveTarget, outgoing: Outgoing, events: AttemptEvents) {
    this.target = target
    this.#outgoing = outgoing
    this.#events = events
    target.join(this)
  }

  /** `freeWithinMs`: how lately a free connection must have been in use to be good enough; -1 for a fresh one. */
  begin(freeWithinMs: number, connectMs: number): void {
    const free = this.target.pool.take(freeWithinMs)
    if (free) {
      this.#send(free)
      return
    }
    const { host, port } = this.target.spec
    this.#connecting = this.target.dial(host, port, connectMs, (result) => {
      this.#connecting = undefined
      if (typeof result === 'string') this.#unreached(result)
      else this.#send(this.target.pool.adopt(result))
    })
  }

  /** Gives up whatever is under way and leaves the target. Nothing is told any more. */
  end(): void {
    if (this.#over) return
    this.#over = true
    this.#connecting?.cancel()
    this.#outgoing.body.detach()
    this.#connection?.destroy()
    this.#connection = undefined
    this.target.leave(this)
  }

  /** The instance may have seen the request. */
  get isSent(): boolean {
    return this.#isSent
  }

  /** What follows of the answer comes now and then, for as long as the client stays: it is no load any more. */
  becomesStream(): void {
    this.target.noteStream(this)
  }

  resume(): void {
    this.#connection?.resume()
  }

  pause(): void {
    this.#connection?.pause()
  }

  // Hanging

  onHung(): void {
    this.#events.onFailed('hung')
  }

  onLost(): void {
    this.#events.onFailed(this.#connecting ? 'unreached' : 'lost')
  }

  // AnswerListener

  onInterim(head: ResponseHead): void {
    this.#events.onInterim(head)
  }

  onHead(head: ResponseHead): void {
    this.target.noteAnswered(this)
    this.#events.onHead(head)
  }

  onBody(chunk: Buffer): void {
    this.#events.onBody(chunk)
  }

  onEnd(rawTrailers: RawHeaders): void {
    this.#over = true
    this.#connection = undefined // it goes back to its pool by itself
    this.#outgoing.body.detach()
    this.target.leave(this)
    this.#events.onEnd(rawTrailers)
  }

  /** The attempt stays at its target: the tunnel hangs there until `end`. */
  onUpgrade(head: ResponseHead, instance: Socket, rest: Buffer): void {
    this.#connection = undefined
    this.target.noteAnswered(this)
    this.#events.onUpgrade(head, instance, rest)
  }

  onBroken(unreadable: string | undefined): void {
    this.#connection = undefined
    this.target.noteReset()
    this.#events.onFailed('reset', unreadable)
  }

  onDrain(): void {
    this.#outgoing.body.drained()
  }

  #unreached(failure: ConnectFailure): void {
    if (failure === 'refused') this.target.noteRefused()
    if (failure === 'timeout') this.target.noteReset()
    this.#events.onFailed('unreached')
  }

  #send(connection: Connection): void {
    const { method, head, body } = this.#outgoing
    this.#connection = connection
    this.#isSent = true
    this.target.noteSent(this)
    this.#events.onSent()
    connection.begin(method, head, body.framing !== 'none', body.framing === 'chunked', this)
    body.attach(connection)
  }
}
