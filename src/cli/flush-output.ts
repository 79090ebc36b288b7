/** Waits until a reader, however slow, has taken all that was printed: what is not read when a process exits is lost. */
import type { Writable } from 'node:stream'

/** Resolves when everything that was written has left this process, or never can: the reader closed its end. Never rejects. */
export async function flushOutput(streams: readonly Writable[]): Promise<void> {
  await Promise.all(streams.map(flushed))
}

function flushed(stream: Writable): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed || stream.writableEnded || stream.writableLength === 0) return resolve()
    stream.once('close', resolve)
    stream.once('error', () => resolve())
    stream.write('', () => resolve()) // called when all before it is written, or when it never will be
  })
}
