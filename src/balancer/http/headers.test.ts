import { describe, expect, test } from 'vitest'
import { complaintAbout, endToEnd, framingOf, type RequestFacts, requestHead } from './headers.ts'

const facts: RequestFacts = {
  method: 'GET',
  url: '/',
  reachedAt: '10.0.0.1:80',
  rawHeaders: ['Host', 'shop'],
  clientAddress: '10.0.0.9',
  framing: 'none',
  upgrade: undefined,
}

describe('the head of a request', () => {
  test('an outer proxy is believed about protocol and host', () => {
    const head = requestHead({
      ...facts,
      rawHeaders: ['Host', 'in', 'X-Forwarded-Proto', 'https', 'X-Forwarded-Host', 'out', 'X-Forwarded-For', '1.1.1.1'],
    })
    expect(head).toBe(
      'GET / HTTP/1.1\r\nHost: in\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: out\r\nX-Forwarded-For: 1.1.1.1, 10.0.0.9\r\nConnection: keep-alive\r\n\r\n',
    )
  })
  test('an upgrade is asked for anew', () => {
    const raw = ['Host', 'x', 'Connection', 'Upgrade', 'Upgrade', 'websocket', 'Sec-WebSocket-Key', 'k']
    expect(requestHead({ ...facts, rawHeaders: raw, upgrade: 'websocket' })).toMatch(
      /^GET .*\r\nHost: x\r\nSec-WebSocket-Key: k\r\n.*\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n$/s,
    )
  })
})

test('Connection cannot name what frames or routes a message', () => {
  const raw = ['Connection', 'Content-Length, host, X-A', 'Content-Length', '3', 'Host', 'x', 'X-A', '1', 'X-B', '2']
  expect(endToEnd(raw)).toEqual(['Content-Length', '3', 'Host', 'x', 'X-B', '2'])
})

test('complaints', () => {
  const of = (...raw: string[]): string | undefined => complaintAbout(['Host', 'x', ...raw], '1.1')
  expect(of()).toBeUndefined()
  expect(of('Content-Length', '3')).toBeUndefined()
  expect(of('Transfer-Encoding', 'chunked')).toBeUndefined()
  expect(of('Expect', '100-Continue')).toBeUndefined()
  expect(of('Transfer-Encoding', 'gzip, chunked')).toMatch(/exactly/)
  expect(of('Transfer-Encoding', 'chunked', 'Content-Length', '3')).toMatch(/together/)
  expect(of('Content-Length', '3', 'Content-Length', '3')).toMatch(/more than one/)
  expect(of('Content-Length', '3,3')).toMatch(/number/)
  expect(of('Host', 'y')).toMatch(/Host/)
  expect(of('Expect', 'tea')).toMatch(/expectation/)
  expect(complaintAbout([], '1.0')).toBeUndefined()
  expect(complaintAbout([], '1.1')).toMatch(/Host/)
})

test('how a body is sent on', () => {
  expect(framingOf([])).toBe('none')
  expect(framingOf(['content-length', '0'])).toBe('none')
  expect(framingOf(['Content-Length', '1'])).toBe('length')
  expect(framingOf(['TRANSFER-ENCODING', 'chunked'])).toBe('chunked')
})
