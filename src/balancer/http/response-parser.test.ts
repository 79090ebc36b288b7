import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ResponseError, ResponseParser } from './response-parser.ts'

interface Read {
  status: number
  body: string
  trailers: readonly string[]
  keepAlive: boolean
  ended: boolean
  rest?: string
  interims: number[]
}

function read(method: string, chunks: readonly Buffer[], closes = false): Read {
  const seen: Read = { status: 0, body: '', trailers: [], keepAlive: false, ended: false, interims: [] }
  const parser = new ResponseParser({
    onInterim({ status }) {
      seen.interims.push(status)
    },
    onHead(head) {
      seen.status = head.status
      seen.keepAlive = head.keepAlive
    },
    onBody(chunk) {
      seen.body += chunk.toString('latin1')
    },
    onEnd(trailers) {
      seen.ended = true
      seen.trailers = trailers
    },
    onUpgrade(head, rest) {
      seen.status = head.status
      seen.rest = rest.toString('latin1')
    },
  })
  parser.begin(method)
  for (const chunk of chunks) parser.feed(chunk)
  if (closes) parser.close()
  return seen
}

function readText(text: string, method = 'GET', closes = false): Read {
  return read(method, [Buffer.from(text, 'latin1')], closes)
}

describe('where an answer ends', () => {
  test('by its length', () => {
    expect(readText('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc')).toMatchObject({
      status: 200,
      body: 'abc',
      ended: true,
      keepAlive: true,
    })
  })
  test('by its chunks', () => {
    const text =
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n'
    expect(readText(text)).toMatchObject({ body: 'abc0123456789', ended: true, trailers: ['X-T', '1'] })
  })
  test('by the end of the connection', () => {
    expect(readText('HTTP/1.1 200 OK\r\n\r\nabc')).toMatchObject({ body: 'abc', ended: false, keepAlive: false })
    expect(readText('HTTP/1.1 200 OK\r\n\r\nabc', 'GET', true)).toMatchObject({ body: 'abc', ended: true })
  })
  test('at once: HEAD, 204, 304, length 0', () => {
    expect(readText('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n', 'HEAD').ended).toBe(true)
    expect(readText('HTTP/1.1 204 No Content\r\n\r\n').ended).toBe(true)
    expect(readText('HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n').ended).toBe(true)
    expect(readText('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n').ended).toBe(true)
  })
  test('informational answers are passed over, 101 hands the connection over', () => {
    const hints = 'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n'
    expect(readText(`${hints}HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx`)).toMatchObject({ status: 200, body: 'x' })
    expect(readText('HTTP/1.1 101 Go\r\nUpgrade: x\r\n\r\nraw')).toMatchObject({ status: 101, rest: 'raw' })
  })
})

test('whether the connection may be used again', () => {
  const keeps = (head: string): boolean => readText(`${head}\r\nContent-Length: 0\r\n\r\n`).keepAlive
  expect(keeps('HTTP/1.1 200 OK')).toBe(true)
  expect(keeps('HTTP/1.1 200 OK\r\nConnection: Close')).toBe(false)
  expect(keeps('HTTP/1.1 200 OK\r\nConnection: x, close')).toBe(false)
  expect(keeps('HTTP/1.0 200 OK')).toBe(false)
  expect(keeps('HTTP/1.0 200 OK\r\nConnection: keep-alive')).toBe(true)
})

test('every way to cut an answer gives the same', () => {
  const body = 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: ÿ\r\n\r\n'
  const bytes = Buffer.from(`${body}5\r\nhello\r\n0b;q="x"\r\n 0123456789\r\n000\r\nA: 1\r\nB: 2\r\n\r\n`, 'latin1')
  const whole = read('GET', [bytes])
  expect(whole).toMatchObject({ body: 'hello 0123456789', trailers: ['A', '1', 'B', '2'], ended: true })
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: bytes.length })), (cuts) => {
      const places = [0, ...cuts.sort((a, b) => a - b), bytes.length]
      const chunks = places.slice(1).map((to, index) => bytes.subarray(places[index], to))
      expect(read('GET', chunks)).toEqual(whole)
    }),
  )
  const single = Array.from(bytes, (_, at) => bytes.subarray(at, at + 1))
  expect(read('GET', single)).toEqual(whole)
})

test('whatever arrives, it either reads it or says that it cannot', () => {
  const pieces = fc.constantFrom(
    'HTTP/1.1 200 OK',
    '\r\n',
    'Content-Length: 3',
    'Transfer-Encoding: chunked',
    ':',
    ' ',
    'abc',
    '3',
    '0',
    '\n',
    '\r',
    '\0',
  )
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 20 }), (parts) => {
      try {
        readText(parts.join(''))
      } catch (error) {
        expect(error).toBeInstanceOf(ResponseError)
      }
    }),
  )
})

describe('what is ambiguous is refused', () => {
  test.each([
    ['both ways to end', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n'],
    ['a length that is none', 'HTTP/1.1 200 OK\r\nContent-Length: 3a\r\n\r\n'],
    ['another encoding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n'],
    ['a fold', 'HTTP/1.1 200 OK\r\nA: 1\r\n b\r\n\r\n'],
    ['a bare LF', 'HTTP/1.1 200 OK\r\nA: 1\nB: 2\r\n\r\n'],
    ['a bare CR', 'HTTP/1.1 200 OK\r\nA: 1\rB: 2\r\n\r\n'],
    ['a blank before the colon', 'HTTP/1.1 200 OK\r\nA : 1\r\n\r\n'],
    ['another version', 'HTTP/2 200\r\n\r\n'],
    ['a chunk size that is none', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ng\r\n'],
    ['a chunk that is longer', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n'],
    ['more than an answer', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab'],
    ['a head without an end', `HTTP/1.1 200 OK\r\nA: ${'a'.repeat(70_000)}`],
  ])('%s', (_name, text) => {
    expect(() => readText(text)).toThrow(ResponseError)
  })
})
