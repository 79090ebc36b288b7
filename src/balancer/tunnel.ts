/**
 * Two sockets joined: bytes go both ways as they come, at the pace of the slower one. Each way ends on its own
 * (half-close); when one socket breaks, the other is broken too, so that neither side waits for a peer that is gone.
 */
import type { Socket } from 'node:net'

/** Both must be paused, or not yet read. Calls `over` once, when both are closed. Returns how to cut both at once. */
export function join(a: Socket, b: Socket, over: () => void): () => void {
  let open = 2
  const closed = (): void => {
    open -= 1
    if (open === 0) over()
  }
  oneWay(a, b, closed)
  oneWay(b, a, closed)
  return () => {
    a.resetAndDestroy()
    b.resetAndDestroy()
  }
}

function oneWay(from: Socket, to: Socket, closed: () => void): void {
  from.setTimeout(0)
  from.on('error', () => to.destroy()) // whatever it was, the other side learns it from its own connection's end
  from.on('close', () => {
    // An orderly end has been passed on by the pipe; anything else must be passed on as a break.
    if (!from.readableEnded || !from.writableFinished) to.destroy()
    closed()
  })
  from.pipe(to)
}
