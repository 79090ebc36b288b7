/**
 * A socket that lends its chunks instead of giving them away. Left to itself, Node reads every chunk into a new buffer
 * of 64 KiB, trims that to size and passes it through a stream; for the few hundred bytes of a query that costs more
 * than all that the balancer does with them. A socket from here reads into one buffer again and again (`onread` of
 * node:net).
 *
 * The rule: **what `data` passes is the listener's until it returns.** A listener that keeps something of it makes a
 * copy. To pass it on use `send`: what the kernel does not take at once waits in the stream, as a view of that one
 * buffer, and so the buffer is left to it and the next chunk is read into a new one.
 *
 * The trap: `onread` can be asked for when a connection is opened, not when one is accepted. So the handle of a socket
 * is put into a new one, which is no public interface of Node, though an old one. Where it is not found as expected the
 * socket is used as it is: the same events in the same order, only slower. shared-chunks.test.ts fails then.
 */
import { Socket, type SocketConstructorOpts } from 'node:net'

/** Twice what PostgreSQL sends at once (its PQ_SEND_BUFFER_SIZE). A connection keeps two of these, one for each way. */
const CHUNK_MAX_BYTES = 16_384

/** Those of which a part waits in some socket. */
const leftBehind = new WeakSet<ArrayBufferLike>()

/** As `socket.write`, for bytes that may be lent. */
export function send(socket: Socket, bytes: Buffer): boolean {
  // It would wait behind what waits there: a copy of a few bytes, rather than a whole buffer left behind for their sake.
  if (socket.writableLength > 0) return socket.write(Buffer.from(bytes))
  const takesMore = socket.write(bytes)
  if (socket.writableLength > 0) leftBehind.add(bytes.buffer)
  return takesMore
}

/** What Node has and does not describe. */
interface Inside {
  _handle?: { readonly useUserBuffer?: unknown } | null
}

interface InsideOptions extends SocketConstructorOpts {
  readonly handle: object
  readonly onread: {
    /** Asked before every read; whatever is no buffer means: the same again. */
    buffer(): Uint8Array | undefined
    callback(length: number, buffer: Buffer): void
  }
}

/** The same connection, as a socket that lends. The one that was given is of no use any more, except to destroy it. */
export function lending(socket: Socket): Socket {
  const inside: Inside = socket as object
  const handle = inside._handle
  const isPlain = socket.constructor === Socket && typeof handle?.useUserBuffer === 'function'
  if (!isPlain || !socket.readable || socket.readableLength > 0 || socket.writableLength > 0) return socket
  let current: Buffer | undefined
  const options: InsideOptions = {
    handle,
    allowHalfOpen: socket.allowHalfOpen,
    readable: true,
    writable: true,
    onread: {
      buffer() {
        if (current && !leftBehind.has(current.buffer)) return undefined
        current = Buffer.allocUnsafeSlow(CHUNK_MAX_BYTES)
        return current
      },
      callback(length, buffer) {
        lender.emit('data', buffer.subarray(0, length))
      },
    },
  }
  inside._handle = null
  const lender = new Socket(options)
  // The server counts the connections that it accepted, and its listener may still hold on to that socket.
  lender.once('close', () => socket.destroy())
  socket.once('close', () => lender.destroy())
  return lender
}
