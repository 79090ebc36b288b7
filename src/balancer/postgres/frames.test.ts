import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FrameReader, type FrameSink, interest, LOOK_MAX_BYTES } from './frames.ts'
import { message } from './messages.ts'

/** Takes messages of kind T out, replaces those of kind R, and remembers what it saw. */
class Recorder implements FrameSink {
  readonly out: Buffer[] = []
  readonly seen: string[] = []
  malformed = false

  onType(type: number): void {
    this.seen.push(String.fromCharCode(type))
  }

  onMessage(type: number, buffer: Buffer, start: number, end: number): boolean {
    this.seen.push(String.fromCharCode(type) + buffer.toString('latin1', start, end))
    return type !== 'T'.charCodeAt(0) && type !== 'R'.charCodeAt(0)
  }

  onTaken(type: number): void {
    if (type === 'R'.charCodeAt(0)) this.out.push(message('r', 'new'))
  }

  onRelay(bytes: Buffer): void {
    this.out.push(Buffer.from(bytes))
  }

  onMalformed(): void {
    this.malformed = true
  }
}

const WANTED = interest('WTR', 'y')

function read(bytes: Buffer, cuts: readonly number[]): Recorder {
  const recorder = new Recorder()
  const reader = new FrameReader(WANTED, recorder)
  const places = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b)
  for (let at = 1; at < places.length; at++) reader.feed(bytes.subarray(places[at - 1], places[at]))
  return recorder
}

const anyMessage = fc
  .tuple(fc.constantFrom('W', 'T', 'R', 'y', 'd'), fc.uint8Array({ maxLength: 40 }))
  .map(([type, body]) => message(type, Buffer.from(body)))
const anyCuts = fc.array(fc.nat(10_000), { maxLength: 12 })

describe('frames', () => {
  test('wherever the stream is cut: everything is seen once, in order, and what is not taken is relayed', () => {
    fc.assert(
      fc.property(fc.array(anyMessage, { maxLength: 20 }), anyCuts, (messages, cuts) => {
        const { out, seen, malformed } = read(Buffer.concat(messages), cuts)
        const letter = (bytes: Buffer) => String.fromCharCode(bytes[0] ?? 0)
        const kept = messages
          .filter((bytes) => letter(bytes) !== 'T')
          .map((bytes) => (letter(bytes) === 'R' ? message('r', 'new') : bytes))
        expect(Buffer.concat(out).equals(Buffer.concat(kept))).toBe(true)
        const noted = messages.filter((bytes) => letter(bytes) !== 'd')
        const text = (bytes: Buffer) => letter(bytes) + (letter(bytes) === 'y' ? '' : bytes.toString('latin1', 5))
        expect(seen).toEqual(noted.map(text))
        expect(malformed).toBe(false)
      }),
      { numRuns: 500 },
    )
  })

  test('whatever comes: it is relayed as it came up to where it stops being messages', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), anyCuts, (bytes, cuts) => {
        const recorder = new Recorder()
        const reader = new FrameReader(interest('', ''), recorder)
        const all = Buffer.from(bytes)
        const middle = (cuts[0] ?? 0) % (all.length + 1)
        reader.feed(all.subarray(0, middle))
        reader.feed(all.subarray(middle))
        const out = Buffer.concat(recorder.out)
        expect(all.subarray(0, out.length).equals(out)).toBe(true)
        if (!recorder.malformed) expect(all.length - out.length).toBeLessThan(5)
      }),
    )
  })

  test('a message that is wanted and very long is shown in part and passed on whole', () => {
    const long = message('W', Buffer.alloc(3 * LOOK_MAX_BYTES, 'x'))
    const bytes = Buffer.concat([long, message('y', 'z')])
    const { out, seen } = read(bytes, [10, 5_000, 70_000, 140_000])
    expect(Buffer.concat(out).equals(bytes)).toBe(true)
    expect(seen).toHaveLength(2)
    expect(seen[0]?.length).toBeGreaterThanOrEqual(LOOK_MAX_BYTES - 5)
    expect(seen[0]?.length).toBeLessThan(long.length)
  })

  test('a long one that is taken is taken whole', () => {
    const bytes = Buffer.concat([message('T', Buffer.alloc(2 * LOOK_MAX_BYTES)), message('y', 'z')])
    const { out, seen } = read(bytes, [70_000, 100_000])
    expect(Buffer.concat(out).equals(message('y', 'z'))).toBe(true)
    expect(seen).toHaveLength(2)
  })

  test('between messages, and not', () => {
    const reader = new FrameReader(WANTED, new Recorder())
    const bytes = message('d', 'some data')
    reader.feed(bytes.subarray(0, 3))
    expect(reader.between, 'nothing of it was relayed').toBe(true)
    reader.feed(bytes.subarray(3, 8))
    expect(reader.between).toBe(false)
    reader.feed(bytes.subarray(8))
    expect(reader.between).toBe(true)
  })

  test('a length that cannot be: nothing more is read', () => {
    const recorder = new Recorder()
    const reader = new FrameReader(WANTED, recorder)
    reader.feed(Buffer.concat([message('y', 'ok'), Buffer.from([0x64, 0, 0, 0, 3]), message('W', 'no')]))
    expect(recorder.malformed).toBe(true)
    reader.feed(message('W', 'no'))
    expect(recorder.seen).toEqual(['y'])
  })
})
