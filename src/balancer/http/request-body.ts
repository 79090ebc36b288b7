/**
 * The body of a client's request, on its way to one instance or, if that one dies, to the next. What has passed is kept
 * up to 64 KiB, so that it can be sent again; a longer body is passed on and forgotten, and its request can then not be
 * repeated. Nothing is read from the client before an instance takes it, and never faster than the instance takes it: a
 * body of a gigabyte costs no more memory than one of 64 KiB.
 */
import type { IncomingMessage } from 'node:http'
import { type BodyFraming, safeTrailers, valuesOf } from './headers.ts'
import type { Connection } from './instance-connection.ts'

export const KEPT_MAX_BYTES = 64 * 1024

export class RequestBody {
  readonly framing: BodyFraming
  readonly #request: IncomingMessage
  #kept: Buffer[] = []
  #keptBytes = 0
  #tooLong = false
  #ended = false
  #listening = false
  #sink: Connection | undefined
  #passedBytes = 0
  /** The instance reads more slowly than the client sends. */
  #isFull = false

  constructor(request: IncomingMessage, framing: BodyFraming) {
    this.#request = request
    this.framing = framing
  }

  /** Everything that was sent so far can be sent again. */
  get replayable(): boolean {
    return !this.#tooLong
  }

  /** All of it has come from the client. */
  get isComplete(): boolean {
    return this.framing === 'none' || this.#ended
  }

  /** An instance would take more, and the client has not sent it yet. */
  get isAwaited(): boolean {
    return !this.isComplete && this.#sink !== undefined && !this.#isFull
  }

  /** Bytes that came from the client so far. */
  get passedBytes(): number {
    return this.#passedBytes
  }

  /** Bytes still to come from the client; infinite when it sends chunks, whose number is not known. */
  get missingBytes(): number {
    if (this.isComplete) return 0
    if (this.framing === 'chunked') return Number.POSITIVE_INFINITY
    return Number(valuesOf(this.#request.rawHeaders, 'content-length')[0]) - this.#passedBytes
  }

  /** Sends what is kept, then what comes. */
  attach(sink: Connection): void {
    if (this.framing === 'none') return
    this.#sink = sink
    this.#isFull = false
    for (const chunk of this.#kept) sink.writeBody(chunk)
    if (this.#ended) {
      this.#finish(sink)
      return
    }
    if (!this.#listening) this.#listen()
    this.#request.resume()
  }

  /** Nothing more goes to that connection; the client is not read until another one is attached. */
  detach(): void {
    this.#sink = undefined
    if (this.#listening && !this.#ended) this.#request.pause()
  }

  /** No instance gets any more of it: what still comes is read and thrown away, so that the connection can be used again. */
  discard(): void {
    this.#sink = undefined
    this.#kept = []
    this.#request.removeAllListeners('data')
    this.#request.resume()
  }

  drained(): void {
    this.#isFull = false
    if (this.#sink) this.#request.resume()
  }

  #listen(): void {
    this.#listening = true
    this.#request.on('data', (chunk: Buffer) => this.#pass(chunk))
    this.#request.on('end', () => {
      this.#ended = true
      if (this.#sink) this.#finish(this.#sink)
    })
  }

  #pass(chunk: Buffer): void {
    this.#passedBytes += chunk.length
    if (this.#keptBytes + chunk.length <= KEPT_MAX_BYTES && !this.#tooLong) {
      this.#kept.push(chunk)
      this.#keptBytes += chunk.length
    } else {
      this.#tooLong = true
      this.#kept = []
    }
    if (!this.#sink || this.#sink.writeBody(chunk)) return
    this.#isFull = true
    this.#request.pause()
  }

  #finish(sink: Connection): void {
    sink.endBody(safeTrailers(this.#request.rawTrailers))
  }
}
