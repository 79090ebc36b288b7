/**
 * Newline-delimited JSON: one value per line, over any stream of bytes. A stream cuts where it likes, also in the middle
 * of a character, so bytes are kept until their line is whole. A line has a largest size, so that a peer that never
 * sends a newline cannot fill our memory; a peer that breaks the framing is not worth listening to any longer.
 */
import { guarded } from './background.ts'

/** The longest line accepted, newline not counted: far more than any message of ours, far less than would hurt. */
export const MAX_LINE_BYTES = 4 * 1024 * 1024

/** The bytes of one message. JSON escapes newlines inside strings, so the one at the end is the only one. */
export function toLine(value: unknown): string {
  return `${JSON.stringify(value)}\n`
}

/** The peer sent what is not a line of JSON, or a line without an end. The stream cannot be trusted any further. */
export class LineError extends Error {
  override readonly name = 'LineError'
}

const NEWLINE = 0x0a

/** Turns chunks of bytes into values. Feed it what arrives; throws LineError, after which it must not be fed again. */
export class LineReader {
  readonly #maxLineBytes: number
  #parts: Uint8Array[] = []
  #keptBytes = 0

  constructor(maxLineBytes: number = MAX_LINE_BYTES) {
    this.#maxLineBytes = maxLineBytes
  }

  /** The values whose lines ended in this chunk, in order. Empty lines are skipped: they make hand-typed input easier. */
  feed(chunk: Uint8Array): unknown[] {
    const values: unknown[] = []
    let from = 0
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, from)) {
      this.#keep(chunk.subarray(from, end))
      from = end + 1
      const line = this.#takeLine()
      if (line.trim() !== '') values.push(parse(line))
    }
    this.#keep(chunk.subarray(from))
    return values
  }

  #keep(part: Uint8Array): void {
    if (part.length === 0) return
    this.#keptBytes += part.length
    if (this.#keptBytes > this.#maxLineBytes) throw new LineError(`a line is longer than ${this.#maxLineBytes} bytes`)
    this.#parts.push(part)
  }

  #takeLine(): string {
    const line = Buffer.concat(this.#parts).toString('utf8')
    this.#parts = []
    this.#keptBytes = 0
    return line
  }
}

/**
 * Reads what has arrived and hands each value to `handle`. What goes wrong in a handler is its own fault and not the peer's: it
 * is reported as one of `what`, and the next value is handled. False when the peer broke the framing: nothing more can be read.
 */
export function handleLines(
  reader: LineReader,
  chunk: Uint8Array,
  what: string,
  handle: (value: unknown) => void,
): boolean {
  let values: unknown[]
  try {
    values = reader.feed(chunk)
  } catch (error) {
    if (error instanceof LineError) return false
    throw error
  }
  for (const value of values) guarded(what, () => handle(value))
  return true
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch (cause) {
    throw new LineError(`not a line of JSON: ${line.slice(0, 80)}`, { cause })
  }
}
