/**
 * Two ends of a connection without a network: bytes, ends and resets arrive in the next ticks of this process, so that a test
 * with a virtual clock waits for nothing else. Enough of net.Socket for balancer and node:http.
 */
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'

const open = new Set<MemorySocket>()

/** Ends that are not closed. */
export function openMemorySockets(): number {
  return open.size
}

export class MemorySocket extends Duplex {
  readonly remoteAddress = '10.0.0.9'
  readonly connecting = false
  bytesRead = 0
  bytesWritten = 0
  #peer: MemorySocket | undefined
  #whenRead: (() => void) | undefined

  constructor() {
    super({ allowHalfOpen: true })
    open.add(this)
  }

  static pair(): [MemorySocket, MemorySocket] {
    const [a, b] = [new MemorySocket(), new MemorySocket()]
    a.#peer = b
    b.#peer = a
    return [a, b]
  }

  /** For code that asks for a net.Socket. */
  get asSocket(): Socket {
    return this as unknown as Socket
  }

  setNoDelay(): this {
    return this
  }

  setKeepAlive(): this {
    return this
  }

  setTimeout(): this {
    return this
  }

  destroySoon(): void {
    this.end(() => this.destroy())
  }

  /** As net.Socket: the peer gets ECONNRESET. */
  resetAndDestroy(): this {
    const peer = this.#peer
    this.#peer = undefined
    this.destroy()
    peer?.destroy(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }))
    return this
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    const peer = this.#peer
    if (!peer || peer.destroyed) {
      done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))
      return
    }
    this.bytesWritten += chunk.length
    peer.bytesRead += chunk.length
    if (chunk.length === 0 || peer.push(chunk)) done()
    else peer.#whenRead = () => done()
  }

  override _read(): void {
    const go = this.#whenRead
    this.#whenRead = undefined
    go?.()
  }

  override _final(done: () => void): void {
    if (this.#peer && !this.#peer.destroyed) this.#peer.push(null)
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    open.delete(this)
    const peer = this.#peer
    if (peer && !peer.destroyed && !peer.readableEnded && !this.writableFinished) peer.push(null)
    done(error)
  }
}
