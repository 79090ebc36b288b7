/**
 * A client's connection: what is written to it, what it sent while no server could take it, and its end. What it sent
 * then is kept as it came, bounded and unread until it is taken out.
 */
import type { Socket } from 'node:net'
import type { Cancel, Clock } from '../../../lib/clock.ts'
import { cutSocket } from '../../socket-end.ts'
import { lending, send } from '../shared-chunks.ts'

/** Beyond it nothing more is read from the client until what is here is taken out. */
const KEPT_MAX_BYTES = 262_144
/** A client that waits is told so after this time, once. */
const NOTICE_AFTER_MS = 2_000
/** A client that does not close after our last words is left alone. */
const CLOSE_MS = 5_000

export class ClientConnection {
  readonly #socket: Socket
  readonly #clock: Clock
  #onData: ((chunk: Buffer) => void) | undefined
  #kept: Buffer[] = []
  #keptBytes = 0
  #cancelNotice: Cancel | undefined

  constructor(socket: Socket, clock: Clock, onData: (chunk: Buffer) => void, onDrain: () => void) {
    this.#socket = lending(socket)
    this.#clock = clock
    this.#onData = onData
    this.#socket.on('error', () => {}) // 'close' follows
    this.#socket.on('data', (chunk) => this.#onData?.(chunk))
    this.#socket.on('drain', onDrain)
  }

  /** False when it takes no more for now. */
  write(bytes: Buffer): boolean {
    return send(this.#socket, bytes)
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  keep(chunk: Buffer): void {
    this.#kept.push(Buffer.from(chunk)) // a chunk is lent, not given
    this.#keptBytes += chunk.length
    if (this.#keptBytes > KEPT_MAX_BYTES) this.#socket.pause()
  }

  /** Something is kept. */
  get keeps(): boolean {
    return this.#kept.length > 0
  }

  /** It is held: if it waits for an answer, it hears of that after a while. */
  noteHeld(notice: () => Buffer): void {
    if (this.#kept.length === 0) return
    this.#cancelNotice ??= this.#clock.after(NOTICE_AFTER_MS, () => this.#socket.write(notice()))
  }

  /** What was kept is read now, as if it had just come. */
  readKept(): void {
    this.#cancelNotice?.()
    this.#cancelNotice = undefined
    const kept = this.#kept
    this.#kept = []
    this.#keptBytes = 0
    for (const chunk of kept) this.#onData?.(chunk)
    if (this.#keptBytes <= KEPT_MAX_BYTES) this.#socket.resume()
  }

  /** `lastWords`: `torn` when a message was begun whose end will not come, so that nothing else can be said. */
  end(lastWords?: Buffer | 'torn'): void {
    this.#cancelNotice?.()
    this.#onData = undefined
    if (lastWords === 'torn') cutSocket(this.#socket)
    else if (lastWords) this.#socket.end(lastWords)
    else this.#socket.end()
    this.#socket.resume()
    this.#socket.setTimeout(CLOSE_MS, () => this.#socket.destroy())
  }
}
