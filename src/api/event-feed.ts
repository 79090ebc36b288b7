/**
 * Events as they happen, as server-sent events (WHATWG HTML, section 9.2). The `id` of each message is the reader's place
 * (cursor.ts), not the event's own id, so that a reader who comes back, to this agent or another, misses nothing that is
 * still kept. A comment every ten seconds shows both ends that the other one is there.
 *
 * A reader that does not read is sent away instead of being buffered for: it comes back with its place.
 */
import type { Cancel, Clock } from '../lib/clock.ts'
import { superviseLoop } from '../lib/supervised-loop.ts'
import type { EventRecord } from './api-types.ts'
import { Cursor } from './cursor.ts'
import type { Surface } from './surface.ts'

const HEARTBEAT_MS = 10_000
const MOST_UNREAD_MESSAGES = 1_000

export interface FeedRequest {
  /** What the reader sent as `Last-Event-ID`. */
  readonly resumeFrom: string | undefined
  /** How many kept events a new reader wants first; without effect when it resumes. */
  readonly last: number
}

/** All the open feeds of one server, so that closing it can end them. */
export class Feeds {
  readonly #surface: Pick<Surface, 'events' | 'onEvent'>
  readonly #clock: Clock
  readonly #ends = new Set<() => void>()

  constructor(surface: Pick<Surface, 'events' | 'onEvent'>, clock: Clock) {
    this.#surface = surface
    this.#clock = clock
  }

  get open(): number {
    return this.#ends.size
  }

  /** The body of one reader's answer. */
  stream(request: FeedRequest): ReadableStream<Uint8Array> {
    let end = () => {}
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          end = this.#attach(controller, request)
        },
        cancel: () => end(),
      },
      { highWaterMark: MOST_UNREAD_MESSAGES },
    )
  }

  close(): void {
    for (const end of [...this.#ends]) end()
  }

  #attach(controller: ReadableStreamDefaultController<Uint8Array>, request: FeedRequest): () => void {
    const bytes = new TextEncoder()
    const cursor = Cursor.parse(request.resumeFrom ?? '')
    let heartbeat: Cancel = () => {}

    const end = () => {
      if (!this.#ends.delete(end)) return
      stopListening()
      heartbeat()
      try {
        controller.close()
      } catch {
        // The reader has gone and its stream is closed already: that is what was wanted.
      }
    }
    const send = (text: string) => {
      if (!this.#ends.has(end)) return
      controller.enqueue(bytes.encode(text))
      if ((controller.desiredSize ?? 0) <= 0) end()
    }
    const tell = (event: EventRecord) => {
      if (cursor.pass(event)) send(message(event, cursor))
    }

    this.#ends.add(end)
    const stopListening = this.#surface.onEvent(tell)
    const kept = this.#surface.events()
    if (request.resumeFrom !== undefined) for (const event of kept) tell(event)
    else this.#greet(kept, request.last, cursor, send, tell)
    const beat = () => send(': alive\n\n')
    heartbeat = superviseLoop({ clock: this.#clock, what: 'a feed of events', everyMs: HEARTBEAT_MS, work: beat }).stop
    return end
  }

  /** A new reader gets its place at once: should it lose us before the first event, it still knows where it was. */
  #greet(
    kept: readonly EventRecord[],
    last: number,
    cursor: Cursor,
    send: (text: string) => void,
    tell: (event: EventRecord) => void,
  ): void {
    const from = Math.max(0, kept.length - last)
    for (const event of kept.slice(0, from)) cursor.pass(event)
    send(`id: ${cursor}\n: following\n\n`)
    for (const event of kept.slice(from)) tell(event)
  }
}

function message(event: EventRecord, cursor: Cursor): string {
  return `id: ${cursor}\nevent: event\ndata: ${JSON.stringify(event)}\n\n`
}
