/**
 * How a connection is ended. Two ways, and both always lead to `close`, whatever the socket was doing:
 *
 * - `cutSocket`: at once, by a reset, so that the peer cannot take what it got for the whole.
 * - `lingerClose`: after an answer, while the client may still be sending. Closing a socket with unread bytes makes the kernel
 *   send a reset, which destroys the answer on its way (RFC 9112 §9.6). So the answer is ended with a FIN, and what the client
 *   still sends is read and thrown away, within bounds.
 *
 * The trap in Node (20 to 24): `resetAndDestroy()` while an `end()` is pending fails in libuv with EINVAL. Node has let go of
 * the handle by then: the socket is never closed and never emits `close`, so whatever counts on that counts wrong for ever.
 * On a TLS socket it throws.
 */
import type { Socket } from 'node:net'
import type { Clock } from '../lib/clock.ts'

/** Ends a connection now. It is reset, except where it is ending already: then the FIN that was asked for is all that is left. */
export function cutSocket(socket: Socket): void {
  if (socket.destroyed) return
  if (socket.writableEnded || socket.connecting || 'encrypted' in socket) socket.destroy()
  else socket.resetAndDestroy()
}

const NOTHING = new Uint8Array(0)

/**
 * Ends our side when all that was written has reached the kernel. `end()` alone would leave a moment in which bytes
 * wait behind a pending end: a socket that is closed then can be closed by a FIN only, and its peer would take half a
 * message for a whole one.
 */
export function endFlushed(socket: Socket): void {
  if (socket.writableEnded || socket.destroyed) return
  socket.write(NOTHING, (error) => {
    if (!error) socket.end()
  })
}

export interface LingerBounds {
  /** In all. nginx: `lingering_time`. */
  readonly totalMs: number
  /** Without a byte from the client. nginx: `lingering_timeout`. */
  readonly silentMs: number
  /** Read and thrown away at most. */
  readonly bytes: number
}

export const LINGER: LingerBounds = { totalMs: 30_000, silentMs: 5_000, bytes: 256 * 1024 * 1024 }

/** How often a lingering connection is looked at: the precision of its bounds. */
const LOOK_MS = 250

/** Ends our side, reads on and throws away until the client closes or a bound is reached. Something must read the socket. */
export function lingerClose(socket: Socket, clock: Clock, bounds: LingerBounds = LINGER): void {
  endFlushed(socket)
  socket.resume()
  const startedMs = clock.mono()
  const startBytes = socket.bytesRead
  let heardMs = startedMs
  let seenBytes = startBytes
  const look = (): void => {
    if (socket.destroyed) return
    const now = clock.mono()
    if (socket.bytesRead !== seenBytes) heardMs = now
    seenBytes = socket.bytesRead
    const isOver =
      socket.readableEnded ||
      now - startedMs >= bounds.totalMs ||
      now - heardMs >= bounds.silentMs ||
      seenBytes - startBytes >= bounds.bytes
    if (isOver) socket.destroy()
    else cancel = clock.after(LOOK_MS, look)
  }
  let cancel = clock.after(LOOK_MS, look)
  socket.once('close', () => cancel())
}
