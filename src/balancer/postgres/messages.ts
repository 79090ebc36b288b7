/**
 * The bytes of messages, written and read. Text is kept as one character for each byte (latin1), whatever the client's
 * encoding is: the balancer returns it as it came and never needs to know what it means.
 */

/** One message: type, length, body. */
export function message(type: string, ...parts: readonly (string | Buffer)[]): Buffer {
  const bodies = parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part))
  const length = bodies.reduce((sum, body) => sum + body.length, 4)
  const head = Buffer.alloc(5)
  head.write(type, 0, 'latin1')
  head.writeUInt32BE(length, 1)
  return Buffer.concat([head, ...bodies], length + 1)
}

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value | 0)
  return bytes
}

export function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

export function query(text: string): Buffer {
  return message('Q', text, '\0')
}

export const SYNC = message('S')
export const TERMINATE = message('X')

/** One statement by the extended protocol under a name of its own, so that the client's unnamed statement stays as it is. */
export function askedAside(name: string, text: string, parameter: string): Buffer {
  const value = Buffer.from(parameter, 'latin1')
  return Buffer.concat([
    message('P', `${name}\0${text}\0`, int16(0)),
    message('B', `${name}\0${name}\0`, int16(0), int16(1), int32(value.length), value, int16(0)),
    message('E', `${name}\0`, int32(0)),
    message('C', `P${name}\0`),
    message('C', `S${name}\0`),
    SYNC,
  ])
}

/** Up to the next zero byte, or to `end` when there is none. */
export function textAt(buffer: Buffer, start: number, end: number): string {
  const zero = buffer.indexOf(0, start)
  return buffer.toString('latin1', start, zero < 0 || zero > end ? end : zero)
}

/** The zero-terminated texts at the beginning of a body. */
export function textsAt(buffer: Buffer, start: number, end: number, most: number): string[] {
  const texts: string[] = []
  let at = start
  while (at < end && texts.length < most) {
    const text = textAt(buffer, at, end)
    texts.push(text)
    at += text.length + 1
  }
  return texts
}

/** The columns of a DataRow in text format; undefined when the row is truncated or makes no sense. */
export function rowAt(buffer: Buffer, start: number, end: number): (string | null)[] | undefined {
  if (end - start < 2) return undefined
  const columns: (string | null)[] = []
  let at = start + 2
  for (let left = buffer.readInt16BE(start); left > 0; left--) {
    if (end - at < 4) return undefined
    const length = buffer.readInt32BE(at)
    at += 4
    if (length < -1 || length > end - at) return undefined
    columns.push(length === -1 ? null : buffer.toString('latin1', at, at + length))
    at += Math.max(0, length)
  }
  return columns
}

/** Of a Bind, whose formats begin at `start`: the value of one parameter, counted from 1. A text is the same in both formats. */
export function parameterAt(buffer: Buffer, start: number, end: number, parameter: number): string | undefined {
  if (end - start < 2) return undefined
  let at = start + 2 + 2 * buffer.readUInt16BE(start) + 2
  for (let number = 1; at + 4 <= end; number++) {
    const length = buffer.readInt32BE(at)
    at += 4
    if (length > end - at) return undefined
    if (number === parameter) return length < 0 ? undefined : buffer.toString('latin1', at, at + length)
    at += Math.max(0, length)
  }
  return undefined
}

/** 'text', safe inside of a statement whatever standard_conforming_strings is. */
export function literal(text: string): string {
  const quoted = `'${text.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`
  return text.includes('\\') ? ` E${quoted}` : quoted
}

export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
