/**
 * One connection to an instance, carrying one request at a time.
 *
 * It is written on net.Socket rather than on an HTTP client, because the retry rules need to know three things that
 * clients hide: whether this connection is fresh, whether anything of a request was sent, and whether anything of an answer
 * came back. It never decides anything: its user is told and decides.
 *
 * The trap it guards against: bytes behind the end of an answer. The connection is given back only after everything that
 * arrived with that end has been read; otherwise they would become the beginning of the next client's answer.
 */
import { connect as connectSocket, type Socket } from 'node:net'
import type { RawHeaders } from './headers.ts'
import { ResponseError, type ResponseHead, ResponseParser } from './response-parser.ts'

/** What the user of a connection hears about the one request that it sent. */
export interface AnswerListener {
  onInterim(head: ResponseHead): void
  onHead(head: ResponseHead): void
  onBody(chunk: Buffer): void
  onEnd(rawTrailers: RawHeaders): void
  onUpgrade(head: ResponseHead, socket: Socket, rest: Buffer): void
  /** It broke before the answer was complete; `unreadable`: the answer was not HTTP, and what about it. Nothing else follows. */
  onBroken(unreadable: string | undefined): void
  /** More of the request's body may be written. */
  onDrain(): void
}

const SILENT: AnswerListener = {
  onInterim() {},
  onHead() {},
  onBody() {},
  onEnd() {},
  onUpgrade() {},
  onBroken() {},
  onDrain() {},
}

/** What the owner of a connection, the pool, hears. */
export interface ConnectionOwner {
  /** The request is over and the connection can carry another one. */
  onFree(connection: Connection): void
  onClosed(connection: Connection): void
}

export class Connection {
  readonly #socket: Socket
  readonly #owner: ConnectionOwner
  readonly #parser: ResponseParser
  #listener: AnswerListener = SILENT
  #reusable = true
  #answered = true
  /** The answer is complete and the owner does not know it yet. */
  #owed = false
  #bodySent = true
  #chunkedBody = false
  #handedOver = false
  /** How many requests it has carried; 0 means fresh. */
  served = 0
  /** Monotonic time at which it became free; kept by its pool. */
  freeSinceMs = 0
  /** Seconds after which the instance closes it, if it said so. */
  idleHintS: number | undefined

  constructor(socket: Socket, owner: ConnectionOwner) {
    this.#socket = socket
    this.#owner = owner
    this.#parser = new ResponseParser({
      onInterim: (head) => this.#listener.onInterim(head),
      onHead: (head) => this.#onHead(head),
      onBody: (chunk) => this.#listener.onBody(chunk),
      onEnd: (trailers) => this.#onEnd(trailers),
      onUpgrade: (head, rest) => this.#onUpgrade(head, rest),
    })
    socket.on('data', this.#onData)
    socket.on('end', this.#onClosing)
    socket.on('error', this.#onError)
    socket.on('close', this.#onClose)
    socket.on('drain', this.#onDrain)
  }

  /** Sends the head of a request. From here on the instance may have seen it. */
  begin(method: string, head: string, hasBody: boolean, chunkedBody: boolean, listener: AnswerListener): void {
    this.#listener = listener
    this.#answered = false
    this.#bodySent = !hasBody
    this.#chunkedBody = chunkedBody
    this.#parser.begin(method)
    this.#socket.write(head, 'latin1')
  }

  /** False when the instance reads more slowly than we write: wait for `onDrain`. */
  writeBody(chunk: Buffer): boolean {
    if (!this.#chunkedBody) return this.#socket.write(chunk)
    this.#socket.cork()
    this.#socket.write(`${chunk.length.toString(16)}\r\n`, 'latin1')
    this.#socket.write(chunk)
    const more = this.#socket.write('\r\n', 'latin1')
    this.#socket.uncork()
    return more
  }

  endBody(rawTrailers: RawHeaders): void {
    this.#bodySent = true
    if (!this.#chunkedBody) return
    let end = '0\r\n'
    for (let at = 0; at + 1 < rawTrailers.length; at += 2) end += `${rawTrailers[at]}: ${rawTrailers[at + 1]}\r\n`
    this.#socket.write(`${end}\r\n`, 'latin1')
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** Ends it now, whatever it was doing; its listener hears nothing more. */
  destroy(): void {
    this.#listener = SILENT
    this.#owed = false
    this.#socket.destroy()
  }

  readonly #onData = (chunk: Buffer): void => {
    try {
      this.#parser.feed(chunk)
    } catch (error) {
      // Whatever went wrong while an answer was read, nothing more may come out of this connection.
      this.#break(error instanceof ResponseError ? error.message : undefined)
      if (!(error instanceof ResponseError)) throw error
      return
    }
    this.#giveBack()
  }

  #giveBack(): void {
    if (!this.#owed) return
    this.#owed = false
    if (this.#socket.destroyed) return
    // An answer that came before the whole request was sent leaves what remains of the request in the way.
    if (!this.#reusable || !this.#bodySent) {
      this.#socket.destroy()
      return
    }
    this.#socket.resume()
    this.served += 1
    this.#owner.onFree(this)
  }

  #onHead(head: ResponseHead): void {
    this.#reusable = head.keepAlive
    this.idleHintS = head.idleHintS ?? this.idleHintS
    this.#listener.onHead(head)
  }

  #onEnd(rawTrailers: RawHeaders): void {
    const listener = this.#listener
    this.#listener = SILENT
    this.#answered = true
    this.#owed = true
    listener.onEnd(rawTrailers)
  }

  #onUpgrade(head: ResponseHead, rest: Buffer): void {
    this.#handedOver = true
    const listener = this.#listener
    this.#listener = SILENT
    this.#socket.off('data', this.#onData)
    this.#socket.off('end', this.#onClosing)
    this.#socket.off('drain', this.#onDrain)
    this.#socket.pause()
    listener.onUpgrade(head, this.#socket, rest)
  }

  /** The instance closed its side. */
  readonly #onClosing = (): void => {
    const proper = this.#parser.close()
    if (!proper) this.#break()
    else this.#giveBack()
    this.#socket.destroy()
  }

  readonly #onError = (): void => {
    if (!this.#handedOver) this.#break()
  }

  readonly #onClose = (): void => {
    if (!this.#handedOver && !this.#answered) this.#break()
    this.#owner.onClosed(this)
  }

  readonly #onDrain = (): void => this.#listener.onDrain()

  #break(unreadable?: string): void {
    const listener = this.#listener
    this.#listener = SILENT
    this.#answered = true
    this.#owed = false
    this.#socket.destroy()
    listener.onBroken(unreadable)
  }
}

/** Why no connection came about. `local`: for want of something on our side, so that it says nothing of the target. */
export type ConnectFailure = 'refused' | 'timeout' | 'local'

export interface ConnectAttempt {
  cancel(): void
}

const LOCAL_CODES: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'EADDRNOTAVAIL', 'ENOBUFS', 'ENOMEM', 'EACCES'])

/** Opens a socket; calls back exactly once unless cancelled. */
export function openSocket(
  host: string,
  port: number,
  timeoutMs: number,
  done: (result: Socket | ConnectFailure) => void,
): ConnectAttempt {
  const socket = connectSocket({ host, port, allowHalfOpen: true })
  const finish = (result: Socket | ConnectFailure): void => {
    clearTimeout(timer)
    socket.removeAllListeners()
    if (result !== socket) {
      socket.on('error', () => {}) // an error of a socket that is being thrown away has no reader
      socket.destroy()
    }
    done(result)
  }
  let over = false
  const once = (result: Socket | ConnectFailure): void => {
    if (!over) finish(result)
    over = true
  }
  // When our own loop was late, the timer runs before we look at the socket: look at it before giving up.
  const timer = setTimeout(() => setImmediate(() => once('timeout')), timeoutMs)
  socket.once('connect', () => once(socket))
  socket.once('error', (error: NodeJS.ErrnoException) => once(failureOf(error.code)))
  return {
    cancel() {
      over = true
      clearTimeout(timer)
      socket.removeAllListeners()
      socket.on('error', () => {}) // cancelled: its outcome no longer matters
      socket.destroy()
    },
  }
}

/** For a socket that carries clients' bytes: they leave at once, and a peer that vanished is noticed some day. */
export function forTraffic(socket: Socket): Socket {
  return socket.setNoDelay(true).setKeepAlive(true, 10_000)
}

function failureOf(code: string | undefined): ConnectFailure {
  if (code === 'ECONNREFUSED') return 'refused'
  return LOCAL_CODES.has(code ?? '') ? 'local' : 'timeout'
}
