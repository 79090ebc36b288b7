/**
 * A fence of another version takes the place of one that answers. What must always be true: each deadline that was acknowledged is
 * kept by a living fence, or things are as after the death of a fence, which the other guards and the agent are there for.
 *
 * So the new one is complete before it begins: it asks for what is armed, and in the moment of the answer writes down that it is
 * the fence, ends the other one, and keeps those deadlines itself. Then it listens, and the agent, whose connection has ended,
 * connects within 25 ms and arms again what it knows: what the other one acknowledged after its answer is not lost. It dies
 * before that moment: nothing has changed. It dies after: this is the death of a fence.
 */
import { createConnection } from 'node:net'
import type { Clock } from '../lib/clock.ts'
import { handleLines, LineReader, toLine } from '../lib/json-lines.ts'
import { type Armed, type FenceRequest, parseReply } from './fence-protocol.ts'

/**
 * What the fence behind this socket has armed, given to `take` at once, as long as nothing else can happen; false when it does not
 * answer in time. A stopped one accepts connections and says nothing.
 */
export function askWhatIsArmed(
  path: string,
  clock: Pick<Clock, 'after'>,
  withinMs: number,
  take: (armed: readonly Armed[]) => void,
): Promise<boolean> {
  return new Promise((resolve) => {
    const reader = new LineReader()
    const socket = createConnection(path, () => socket.write(toLine({ id: 0, ping: true } satisfies FenceRequest)))
    let isOver = false
    const end = (answered: boolean) => {
      if (isOver) return
      isOver = true
      cancel()
      socket.destroy()
      resolve(answered)
    }
    const cancel = clock.after(withinMs, () => end(false))
    const hear = (value: unknown) => {
      const reply = parseReply(value)
      if (isOver || !reply || !('ok' in reply) || !reply.ok) return
      take(reply.armed ?? [])
      end(true)
    }
    socket.on('data', (chunk) => {
      if (!handleLines(reader, chunk, 'a reply of the fence', hear)) end(false)
    })
    socket.once('error', () => end(false))
    socket.once('close', () => end(false))
  })
}
