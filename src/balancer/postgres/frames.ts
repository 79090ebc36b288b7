/**
 * Finds the messages in a stream of bytes without copying the stream. Every message after the first packet of a
 * PostgreSQL connection is one byte of type, four bytes of length (which counts itself), and a body. Most messages need
 * not be understood here, so a chunk is relayed as it came; only the headers in it are read, and the bodies of the few
 * wanted kinds.
 *
 * A kind that is wanted whole and does not end in its chunk is held back until its end has come, so that its reader can
 * still decide that it is not relayed. Because of that, what has been relayed always ends where a message of a wanted
 * kind ends, or inside of a message of another kind (`between` tells). Held back is at most `LOOK_MAX_BYTES`: of a
 * longer message only the beginning is shown.
 */

/** How much of a message is of interest. */
export const SKIP = 0
export const TYPE_ONLY = 1
export const WHOLE = 2

/** For each type byte one of the three above. */
export type Interest = Uint8Array

/** Of a message longer than this (a bulk insert written as one statement), only the beginning is looked at. */
export const LOOK_MAX_BYTES = 65_536

/** PostgreSQL's own limit of a message (PQ_LARGE_MESSAGE_LIMIT in libpq/pqcomm.h): what is longer is no message. */
const LENGTH_MAX = 0x3fff_ffff

export interface FrameSink {
  /** A message of a kind of which only the type matters. */
  onType(type: number): void
  /** The body lies at [start, end). True: it is relayed. False: `onTaken` follows and it is not. */
  onMessage(type: number, buffer: Buffer, start: number, end: number): boolean
  /** In place of relaying it; everything before it has been relayed. */
  onTaken(type: number, buffer: Buffer, start: number, end: number): void
  onRelay(bytes: Buffer): void
  /** What came is no message. Nothing more is read. */
  onMalformed(): void
}

/** Which kinds are wanted: by letter. */
export function interest(whole: string, typeOnly = '', others: 0 | 1 | 2 = SKIP): Interest {
  const table = new Uint8Array(256).fill(others)
  for (const letter of typeOnly) table[letter.charCodeAt(0)] = TYPE_ONLY
  for (const letter of whole) table[letter.charCodeAt(0)] = WHOLE
  return table
}

export class FrameReader {
  /** May be exchanged at any time; holds from the next message on. */
  interest: Interest
  sink: FrameSink
  /** A message, or the beginning of a header, that is not complete. */
  #kept: Buffer | undefined
  /** How much of the body of the message that was looked at last is still to come. */
  #rest = 0
  #restIsRelayed = true
  #broken = false

  constructor(wanted: Interest, sink: FrameSink) {
    this.interest = wanted
    this.sink = sink
  }

  /** Whether all that was relayed so far ends where a message ends. */
  get between(): boolean {
    return this.#rest === 0 || !this.#restIsRelayed
  }

  /** Nothing more is read, whatever comes. */
  stop(): void {
    this.#broken = true
    this.#kept = undefined
  }

  feed(chunk: Buffer): void {
    if (this.#broken) return
    let buffer = chunk
    let at = 0
    if (this.#kept !== undefined) {
      buffer = Buffer.concat([this.#kept, chunk])
      this.#kept = undefined
    } else if (this.#rest > 0) {
      at = Math.min(this.#rest, chunk.length)
      this.#rest -= at
    }
    this.#walk(buffer, at, this.#restIsRelayed ? 0 : at)
  }

  /** From `at` on messages begin; from `from` on nothing has been relayed. */
  #walk(buffer: Buffer, firstAt: number, firstFrom: number): void {
    let at = firstAt
    let from = firstFrom
    const { length } = buffer
    while (length - at >= 5) {
      const size =
        (buffer[at + 1] as number) * 0x100_0000 +
        (((buffer[at + 2] as number) << 16) | ((buffer[at + 3] as number) << 8) | (buffer[at + 4] as number))
      if (size < 4 || size > LENGTH_MAX) {
        if (from < at) this.sink.onRelay(buffer.subarray(from, at))
        this.stop()
        this.sink.onMalformed()
        return
      }
      const type = buffer[at] as number
      const end = at + 1 + size
      const wanted = this.interest[type]
      let isRelayed = true
      if (wanted === WHOLE) {
        if (end > length && length - at < LOOK_MAX_BYTES) break
        const seenEnd = end < length ? end : length
        isRelayed = this.sink.onMessage(type, buffer, at + 5, seenEnd)
        if (!isRelayed) {
          if (from < at) this.sink.onRelay(buffer.subarray(from, at))
          from = seenEnd
          this.sink.onTaken(type, buffer, at + 5, seenEnd)
          if (this.#broken) return
        }
      } else if (wanted === TYPE_ONLY) {
        this.sink.onType(type)
      }
      if (end > length) {
        this.#rest = end - length
        this.#restIsRelayed = isRelayed
        at = length
        break
      }
      at = end
    }
    if (this.#rest === 0) this.#restIsRelayed = true
    // A copy, because a view would keep the whole chunk in memory for the sake of a few bytes.
    if (at < length) this.#kept = Buffer.from(buffer.subarray(at))
    if (from < at) this.sink.onRelay(from === 0 && at === length ? buffer : buffer.subarray(from, at))
  }
}
