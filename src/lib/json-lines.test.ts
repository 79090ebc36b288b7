import { describe, expect, test } from 'vitest'
import { LineError, LineReader, toLine } from './json-lines.ts'

describe('json lines', () => {
  const values = [{ a: 1 }, 'żółć 🙂 \n "x"', [], null, 7]
  const bytes = Buffer.from(values.map(toLine).join(''))

  test('every way to cut a stream gives the same values', () => {
    for (let size = 1; size <= bytes.length; size++) {
      const reader = new LineReader()
      const read: unknown[] = []
      for (let at = 0; at < bytes.length; at += size) read.push(...reader.feed(bytes.subarray(at, at + size)))
      expect(read).toEqual(values)
    }
  })

  test('a value counts only when its line has ended', () => {
    const reader = new LineReader()
    expect(reader.feed(Buffer.from('{"a":1}'))).toEqual([])
    expect(reader.feed(Buffer.from('\n'))).toEqual([{ a: 1 }])
  })

  test('empty lines and carriage returns do no harm', () => {
    expect(new LineReader().feed(Buffer.from('\n\r\n1\r\n'))).toEqual([1])
  })

  test('a line without an end is refused before it fills the memory', () => {
    const reader = new LineReader(10)
    expect(reader.feed(Buffer.from('1234567890\n'))).toEqual([1234567890])
    reader.feed(Buffer.from('1234567890'))
    expect(() => reader.feed(Buffer.from('1'))).toThrow(LineError)
  })

  test('what is not JSON is refused', () => {
    expect(() => new LineReader().feed(Buffer.from('{"a":\n'))).toThrow(/not a line of JSON/)
  })
})
