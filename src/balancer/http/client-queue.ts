/**
 * One connection of a client, as a queue: its requests are carried out one at a time, in the order in which they came, and
 * while one waits for its turn nothing more is read. Without that, one connection with thousands of pipelined requests takes
 * an endpoint from every other client, and two pipelined POSTs run at the same time and in any order.
 *
 * What else arrives on a connection stands in the same line: a request that is refused, bytes that are no request. So an
 * earlier request is answered first, and a refusal never speaks about the fate of another request.
 *
 * Node's parser cannot be stopped between two requests that came in the same chunk (64 KiB). Those are kept here, bounded;
 * when there are more, the connection is closed after the last one that is kept, and the client sends the others again, as
 * RFC 9112 §9.3.2 demands of clients that pipeline.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Clock } from '../../lib/clock.ts'
import { LINGER, lingerClose } from '../socket-end.ts'

/** Pipelined requests that wait for their turn on one connection. */
export const PIPELINED_MAX = 100

/** A request whose turn comes. */
export interface Turn {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  start(): void
  /** What remains of it cannot be understood; said before or after `start`. */
  spoil(detail: string): void
}

export class ClientQueue {
  readonly #socket: Socket
  readonly #clock: Clock
  readonly #waiting: Turn[] = []
  #current: Turn | undefined
  /** Written when every turn is over. */
  #lastWords = ''
  #isClosing = false
  #isGated = false
  #isLingering = false
  #drainUntilMs: number | undefined

  constructor(socket: Socket, clock: Clock) {
    this.#socket = socket
    this.#clock = clock
    // Node resumes a connection whenever it wants more of a body, also of one that is complete.
    socket.on('resume', () => {
      if (this.#isGated) socket.pause()
    })
    // This is how Node ends a connection after its last answer: with bytes unread, which destroys the answer on its way.
    const destroySoon = socket.destroySoon.bind(socket)
    socket.destroySoon = () => {
      if (this.#isUnread) this.#linger()
      else destroySoon()
    }
  }

  /** What still arrives on this connection means nothing. */
  get isClosing(): boolean {
    return this.#isClosing
  }

  /** Nothing is read, because a request waits for its turn. */
  get isGated(): boolean {
    return this.#isGated
  }

  /** The request whose bytes came last, unless it is answered. */
  get latest(): Turn | undefined {
    return this.#waiting.at(-1) ?? this.#current
  }

  add(turn: Turn): void {
    if (this.#isClosing) return
    if (this.#waiting.length >= PIPELINED_MAX) {
      this.closeAfter()
      return
    }
    turn.response.on('close', () => this.#ended(turn))
    if (this.#current === undefined) {
      this.#begin(turn)
      return
    }
    this.#waiting.push(turn)
    this.#isGated = true
    this.#socket.pause()
  }

  /** When all that came before is answered, `lastWords` are written, if the last answer leaves room for another one, and that is all. */
  closeAfter(lastWords = ''): void {
    if (this.#isClosing) return
    this.#isClosing = true
    this.#lastWords = lastWords
    const last = this.latest
    if (last === undefined) this.#close()
    else if (lastWords === '' && !last.response.headersSent) last.response.shouldKeepAlive = false
  }

  /** Called every few tens of milliseconds. A body that is only read to be thrown away has its time, too. */
  tick(nowMs: number): void {
    if (this.#drainUntilMs !== undefined && nowMs >= this.#drainUntilMs) this.#linger()
  }

  /** The client may still be sending something. */
  get #isUnread(): boolean {
    return this.#isGated || this.#isClosing || this.#current?.request.complete === false
  }

  #begin(turn: Turn): void {
    this.#current = turn
    turn.start()
  }

  #ended(turn: Turn): void {
    if (turn !== this.#current) return
    this.#current = undefined
    if (this.#socket.destroyed || this.#isLingering) return
    const next = this.#waiting.shift()
    if (this.#waiting.length === 0) this.#isGated = false
    if (next) this.#begin(next)
    else if (this.#isClosing) this.#close()
    else if (!turn.request.complete) this.#drain(turn.request)
    if (!this.#isGated) this.#socket.resume()
  }

  /** The answer came before the end of the request, and the connection was promised to stay. */
  #drain(request: IncomingMessage): void {
    this.#drainUntilMs = this.#clock.mono() + LINGER.totalMs
    request.on('end', () => {
      this.#drainUntilMs = undefined
    })
    request.resume()
  }

  #close(): void {
    if (this.#socket.destroyed || this.#isLingering) return
    if (this.#lastWords !== '' && this.#socket.writable) this.#socket.write(this.#lastWords, 'latin1')
    this.#linger()
  }

  #linger(): void {
    if (this.#isLingering) return
    this.#isLingering = true
    this.#isClosing = true
    this.#isGated = false
    this.#drainUntilMs = undefined
    lingerClose(this.#socket, this.#clock)
    // What comes now means nothing and must not be parsed. Node's parser reads the socket by itself until there is a listener of
    // ours, and a socket that is resumed is read again only some ticks later: taken away before, it would never be read.
    setImmediate(() => {
      this.#socket.removeAllListeners('data')
      this.#socket.on('data', () => {})
    })
  }
}
