/**
 * Two sockets joined: bytes go both ways as they come, at the pace of the slower one. Each way ends on its own
 * (half-close); when one socket breaks, the other is broken too, so that neither side waits for a peer that is gone.
 *
 * Whatever happens to either of them at any moment, both are closed and `over` is called once, after the second `close`.
 */
import type { Socket } from 'node:net'
import type { Clock } from '../../lib/clock.ts'
import { cutSocket, endFlushed } from '../socket-end.ts'

/** Nothing moved in either direction for so long: both are closed. Null: never. */
export interface IdleLimit {
  readonly clock: Clock
  readonly ms: number | null
}

/** Both must be paused, or not yet read. Calls `over` once, when both are closed. Returns how to close both at once. */
export function join(a: Socket, b: Socket, over: () => void, idle?: IdleLimit): () => void {
  const cut = (): void => {
    cutSocket(a)
    cutSocket(b)
  }
  const forget = idle === undefined || idle.ms === null ? () => {} : watch([a, b], idle.clock, idle.ms, cut)
  let open = 2
  const closed = (): void => {
    open -= 1
    if (open > 0) return
    forget()
    over()
  }
  oneWay(a, b, closed)
  oneWay(b, a, closed)
  return cut
}

/** Calls `cut` when no byte went over any of the sockets for `limitMs`, or up to a quarter longer. Returns how to stop. */
function watch(sockets: readonly Socket[], clock: Clock, limitMs: number, cut: () => void): () => void {
  const moved = (): number => sockets.reduce((sum, { bytesRead, bytesWritten }) => sum + bytesRead + bytesWritten, 0)
  let seen = moved()
  let sinceMs = clock.mono()
  const look = (): void => {
    const now = clock.mono()
    if (moved() !== seen) sinceMs = now
    seen = moved()
    if (now - sinceMs >= limitMs) cut()
    else cancel = clock.after(limitMs / 4, look)
  }
  let cancel = clock.after(limitMs / 4, look)
  return () => cancel()
}

function oneWay(from: Socket, to: Socket, closed: () => void): void {
  const onClose = (): void => {
    // An orderly end has been passed on; anything else must be passed on as a break.
    if (!from.readableEnded || !from.writableFinished) cutSocket(to)
    closed()
  }
  from.setTimeout(0)
  from.on('error', () => {}) // 'close' follows, and that is what counts
  if (from.closed) {
    process.nextTick(onClose) // it said so before we could hear it
    return
  }
  from.on('close', onClose)
  if (from.readableEnded) endFlushed(to)
  else from.on('end', () => endFlushed(to))
  from.pipe(to, { end: false })
}
