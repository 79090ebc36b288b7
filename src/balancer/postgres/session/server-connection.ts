/** A server's connection while a session is on it. Both sides go at the pace of the slower one. */
import type { Socket } from 'node:net'
import { cutSocket } from '../../socket-end.ts'
import type { FrameReader } from '../frames.ts'
import { lending, send } from '../shared-chunks.ts'

/** A server that does not close in so long is left to itself. */
const CLOSE_MS = 5_000

const NO_KEY = Buffer.alloc(0)

export interface BackendEvents {
  /** It broke, or the server closed it. */
  onBackendGone(): void
  /** It takes more again. */
  onBackendDrained(): void
}

export class ServerConnection {
  readonly #socket: Socket
  readonly reader: FrameReader
  /** What the server itself wants to hear with a cancel request. */
  pid = 0
  key: Buffer = NO_KEY
  #events: BackendEvents | undefined

  constructor(socket: Socket, reader: FrameReader, events: BackendEvents) {
    this.reader = reader
    this.#events = events
    const lender = lending(socket)
    this.#socket = lender
    lender.removeAllListeners('error')
    lender.on('error', () => {}) // 'close' follows
    lender.on('data', (chunk) => this.#events && reader.feed(chunk))
    lender.on('end', this.#gone)
    lender.on('close', this.#gone)
    lender.on('drain', () => this.#events?.onBackendDrained())
  }

  /** False when it takes no more for now: wait for `onBackendDrained`. */
  write(bytes: Buffer): boolean {
    return send(this.#socket, bytes)
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** What was written still arrives; what comes is not read any more. */
  close(last?: Buffer): void {
    this.#events = undefined
    this.reader.stop()
    this.#socket.resume()
    if (last) this.#socket.end(last)
    else this.#socket.end()
    this.#socket.setTimeout(CLOSE_MS, () => this.#socket.destroy())
  }

  /** Nothing more arrives, not even what was written. */
  cut(): void {
    this.#events = undefined
    this.reader.stop()
    cutSocket(this.#socket)
  }

  readonly #gone = (): void => {
    const events = this.#events
    this.#events = undefined
    this.#socket.destroy()
    events?.onBackendGone()
  }
}
