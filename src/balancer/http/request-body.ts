/**
 * The body of a client's request, on its way to one instance or, if that one dies, to the next. What has passed is kept
 * up to 64 KiB, so that it can be sent again; a longer body is passed on and forgotten, and its request can then not be
 * repeated. Nothing is read from the client before an instance takes it, and never faster than the instance takes it: a
 * body of a gigabyte costs no more memory than one of 64 KiB.
 */
import type { IncomingMessage } from 'node:http'
import { type BodyFraming, safeTrailers } from './headers.ts'
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

  constructor(request: IncomingMessage, framing: BodyFraming) {
    this.#request = request
    this.framing = framing
  }

  /** Everything that was sent so far can be sent again. */
  get replayable(): boolean {
    return !this.#tooLong
  }

  /** Sends what is kept, then what comes. */
  attach(sink: Connection): void {
    if (this.framing === 'none') return
    this.#sink = sink
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

  drained(): void {
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
    if (this.#keptBytes + chunk.length <= KEPT_MAX_BYTES && !this.#tooLong) {
      this.#kept.push(chunk)
      this.#keptBytes += chunk.length
    } else {
      this.#tooLong = true
      this.#kept = []
    }
    if (this.#sink && !this.#sink.writeBody(chunk)) this.#request.pause()
  }

  #finish(sink: Connection): void {
    sink.endBody(safeTrailers(this.#request.rawTrailers))
  }
}
