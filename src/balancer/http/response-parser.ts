/**
 * Reads the answers of an instance: bytes in, events out, no socket. HTTP/1.1 (RFC 9112), strictly.
 *
 * The balancer reads clients' requests with Node's own parser, because they are untrusted. Answers come from the user's
 * instances, and the balancer must know more about them than Node's client tells: which connection, which byte. So they
 * are read here. What is ambiguous is refused, never guessed: two readings of where an answer ends are how one client
 * gets another's answer.
 *
 * Interim answers (1xx) are passed on, except 101, which ends HTTP, and 100: the balancer answers `Expect:
 * 100-continue` itself.
 */
import { asciiLower } from './headers.ts'

export interface ResponseHead {
  readonly status: number
  readonly message: string
  /** Name, value, name, value …, as they came. */
  readonly rawHeaders: readonly string[]
  /** The body comes in chunks, so that trailers may follow it. */
  readonly chunked: boolean
  /** The connection may be used again when the answer has ended. */
  readonly keepAlive: boolean
  /** Seconds from `Keep-Alive: timeout=`, if the instance said so. */
  readonly idleHintS: number | undefined
}

export interface ResponseSink {
  /** An interim answer (1xx, neither 100 nor 101): the final one is still to come. */
  onInterim(head: ResponseHead): void
  onHead(head: ResponseHead): void
  onBody(chunk: Buffer): void
  /** The answer is complete. `rawTrailers`: name, value, … */
  onEnd(rawTrailers: readonly string[]): void
  /** The instance agreed to change the protocol; `rest` already belongs to the new one. Nothing is parsed any more. */
  onUpgrade(head: ResponseHead, rest: Buffer): void
}

/** The instance sent what is not an unambiguous HTTP/1 answer. */
export class ResponseError extends Error {
  override readonly name = 'ResponseError'
}

const HEAD_LIMIT = 64 * 1024
const LINE_LIMIT = 4 * 1024
/** Interim answers before the final one: an instance that sends more is not going to answer. */
const INTERIM_MAX = 64
const EMPTY: Buffer = Buffer.alloc(0)

type State =
  | 'idle'
  | 'head'
  | 'length'
  | 'chunk-size'
  | 'chunk-data'
  | 'chunk-end'
  | 'trailers'
  | 'until-close'
  | 'over'

export class ResponseParser {
  readonly #sink: ResponseSink
  #state: State = 'idle'
  #method = 'GET'
  #kept: Buffer = EMPTY
  #leftBytes = 0
  #interims = 0

  constructor(sink: ResponseSink) {
    this.#sink = sink
  }

  /** An answer to a request of this method is expected next. */
  begin(method: string): void {
    this.#state = 'head'
    this.#method = method
    this.#interims = 0
  }

  /** No answer is under way, so anything that arrives is out of place. */
  get idle(): boolean {
    return this.#state === 'idle'
  }

  feed(chunk: Buffer): void {
    let rest = chunk
    while (rest.length > 0) rest = this.#step(rest)
  }

  /** The instance closed its side. True when that is a proper end: of the answer, or between answers. */
  close(): boolean {
    if (this.#state === 'until-close') this.#end([])
    return this.#state === 'idle' || this.#state === 'over'
  }

  /** Consumes something from `bytes` and returns what is left. */
  #step(bytes: Buffer): Buffer {
    switch (this.#state) {
      case 'head':
        return this.#readHead(bytes)
      case 'length':
      case 'chunk-data':
        return this.#readCounted(bytes)
      case 'until-close':
        this.#sink.onBody(bytes)
        return EMPTY
      case 'chunk-size':
      case 'chunk-end':
      case 'trailers':
        return this.#readLine(bytes)
      case 'over':
        return EMPTY
      case 'idle':
        throw new ResponseError('bytes that belong to no answer')
    }
  }

  #readHead(bytes: Buffer): Buffer {
    const all = this.#kept.length === 0 ? bytes : Buffer.concat([this.#kept, bytes])
    const end = all.indexOf('\r\n\r\n')
    if (end > HEAD_LIMIT || (end === -1 && all.length > HEAD_LIMIT)) {
      throw new ResponseError(`the head of the answer is longer than ${HEAD_LIMIT} bytes`)
    }
    if (end === -1) {
      // Without this, a head whose lines end in LF alone would be waited for without end.
      if (hasBareLf(all)) throw new ResponseError('a line of its head ends in LF without CR')
      this.#kept = all
      return EMPTY
    }
    this.#kept = EMPTY
    const rest = all.subarray(end + 4)
    const parsed = parseHead(all.toString('latin1', 0, end))
    const { status } = parsed.head
    if (status === 101) {
      this.#state = 'over'
      this.#sink.onUpgrade(parsed.head, rest)
      return EMPTY
    }
    if (status >= 200) this.#frame(parsed)
    else this.#interim(parsed.head)
    return rest
  }

  #interim(head: ResponseHead): void {
    this.#interims += 1
    if (this.#interims > INTERIM_MAX) throw new ResponseError(`more than ${INTERIM_MAX} interim answers`)
    if (head.status !== 100) this.#sink.onInterim(head)
  }

  /** Decides where the answer ends (RFC 9112 §6.3) and announces it. */
  #frame({ head, lengthBytes }: ParsedHead): void {
    const { chunked } = head
    const bodyless = this.#method === 'HEAD' || head.status === 204 || head.status === 304
    if (bodyless || (!chunked && lengthBytes === 0)) {
      this.#sink.onHead(head)
      this.#end([])
    } else if (chunked) {
      this.#state = 'chunk-size'
      this.#sink.onHead(head)
    } else if (lengthBytes !== undefined) {
      this.#leftBytes = lengthBytes
      this.#state = 'length'
      this.#sink.onHead(head)
    } else {
      this.#state = 'until-close'
      this.#sink.onHead({ ...head, keepAlive: false })
    }
  }

  #readCounted(bytes: Buffer): Buffer {
    const part = bytes.length <= this.#leftBytes ? bytes : bytes.subarray(0, this.#leftBytes)
    this.#leftBytes -= part.length
    const done = this.#leftBytes === 0
    this.#sink.onBody(part)
    if (done && this.#state === 'length') this.#end([])
    else if (done) this.#state = 'chunk-end'
    return bytes.subarray(part.length)
  }

  #readLine(bytes: Buffer): Buffer {
    const all = this.#kept.length === 0 ? bytes : Buffer.concat([this.#kept, bytes])
    // Trailers end with an empty line; the other two are one line each.
    const single = this.#state !== 'trailers' || (all[0] === 0x0d && all[1] === 0x0a)
    const end = all.indexOf(single ? '\r\n' : '\r\n\r\n')
    if (end === -1) {
      if (all.length > LINE_LIMIT) throw new ResponseError('a chunk size or trailer is too long')
      this.#kept = all
      return EMPTY
    }
    this.#kept = EMPTY
    this.#takeLine(all.toString('latin1', 0, end))
    return all.subarray(end + (single ? 2 : 4))
  }

  #takeLine(line: string): void {
    if (this.#state === 'trailers') {
      this.#end(line === '' ? [] : parseHeaders(line.split('\r\n')))
    } else if (this.#state === 'chunk-end') {
      if (line !== '') throw new ResponseError('a chunk is longer than it says')
      this.#state = 'chunk-size'
    } else {
      this.#leftBytes = chunkSize(line)
      this.#state = this.#leftBytes === 0 ? 'trailers' : 'chunk-data'
    }
  }

  #end(rawTrailers: readonly string[]): void {
    this.#state = 'idle'
    this.#sink.onEnd(rawTrailers)
  }
}

function chunkSize(line: string): number {
  // At most 13 hexadecimal digits, so that the number is exact; extensions mean nothing to us.
  const match = /^([0-9a-fA-F]{1,13})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?$/.exec(line)
  if (!match) throw new ResponseError('a chunk size is not a number')
  return Number.parseInt(match[1] ?? '', 16)
}

function hasBareLf(bytes: Buffer): boolean {
  for (let at = bytes.indexOf(0x0a); at !== -1; at = bytes.indexOf(0x0a, at + 1)) {
    if (bytes[at - 1] !== 0x0d) return true
  }
  return false
}

interface ParsedHead {
  readonly head: ResponseHead
  readonly lengthBytes: number | undefined
}

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?$/

function parseHead(text: string): ParsedHead {
  const lines = text.split('\r\n')
  const status = STATUS_LINE.exec(lines[0] ?? '')
  if (!status) throw new ResponseError('the answer does not begin with an HTTP/1 status line')
  const rawHeaders = parseHeaders(lines.slice(1))
  const framing = readFraming(rawHeaders)
  const keepAlive = status[1] === '1' ? !framing.close : framing.keepAlive
  return {
    head: {
      status: Number(status[2]),
      message: status[3] ?? '',
      rawHeaders,
      chunked: framing.chunked,
      keepAlive,
      idleHintS: framing.idleHintS,
    },
    lengthBytes: framing.lengthBytes,
  }
}

// The same two rules by which Node checks what it writes: what passes here can be passed on.
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const NOT_IN_VALUE = /[^\t\x20-\x7e\x80-\xff]/

function parseHeaders(lines: readonly string[]): string[] {
  const raw: string[] = []
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, Math.max(colon, 0))
    const value = line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '')
    if (!NAME.test(name) || NOT_IN_VALUE.test(value)) throw new ResponseError('a header line is malformed')
    raw.push(name, value)
  }
  return raw
}

interface Framing {
  lengthBytes: number | undefined
  chunked: boolean
  close: boolean
  keepAlive: boolean
  idleHintS: number | undefined
}

function readFraming(rawHeaders: readonly string[]): Framing {
  const framing: Framing = {
    lengthBytes: undefined,
    chunked: false,
    close: false,
    keepAlive: false,
    idleHintS: undefined,
  }
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    noteFraming(framing, asciiLower(rawHeaders[at] ?? ''), rawHeaders[at + 1] ?? '')
  }
  if (framing.chunked && framing.lengthBytes !== undefined) {
    throw new ResponseError('the answer gives its length in two ways')
  }
  return framing
}

function noteFraming(framing: Framing, name: string, value: string): void {
  if (name === 'content-length') {
    const length = /^\d{1,15}$/.test(value) ? Number(value) : undefined
    if (length === undefined || (framing.lengthBytes ?? length) !== length) {
      throw new ResponseError('the Content-Length of the answer is not one number')
    }
    framing.lengthBytes = length
  } else if (name === 'transfer-encoding') {
    if (framing.chunked || asciiLower(value) !== 'chunked') throw new ResponseError('an unknown Transfer-Encoding')
    framing.chunked = true
  } else if (name === 'connection') {
    const tokens = asciiLower(value).split(',')
    for (const token of tokens) {
      if (token.trim() === 'close') framing.close = true
      if (token.trim() === 'keep-alive') framing.keepAlive = true
    }
  } else if (name === 'keep-alive') {
    const hint = /(?:^|[ ,;])timeout=(\d{1,6})/i.exec(value)
    if (hint) framing.idleHintS = Number(hint[1])
  }
}
