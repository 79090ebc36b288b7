/**
 * Requests that different servers read differently. Each must be refused with 400, its connection closed, and not one
 * byte of it may reach an instance as a second request. The instance here is a plain TCP server that writes down every byte
 * it gets, so that nothing can hide in another parser's opinion.
 */
import { afterEach, describe, expect, test } from 'vitest'
import { closeAll, openBalancer, rawClient, rawInstance, until } from '../../../test/support/door.ts'

afterEach(closeAll)

const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n'

/** Name → bytes. Those with a body carry a second request in it. */
const REFUSED: Readonly<Record<string, string>> = {
  'Content-Length and Transfer-Encoding': `POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  'Transfer-Encoding and Content-Length': `POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  'two lengths that differ': `POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 37\r\n\r\n${SMUGGLED}`,
  'two lengths that agree': `POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n${SMUGGLED}`,
  'a list of lengths': `POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0, 37\r\n\r\n${SMUGGLED}`,
  'a signed length': `POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: +0\r\n\r\n${SMUGGLED}`,
  'a negative length': `POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n${SMUGGLED}`,
  'a hexadecimal length': `POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0x10\r\n\r\n${SMUGGLED}`,
  'a length beyond all bounds': `POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n${SMUGGLED}`,
  'an empty length': `POST /a HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n${SMUGGLED}`,
  'identity encoding': `POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n${SMUGGLED}`,
  'gzip, chunked': `POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  'chunked, gzip': `POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  'chunked twice': `POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  'chunked and then identity': `POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  xchunked: `POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  'chunked with a vertical tab': `POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  'chunked in HTTP/1.0': `POST /a HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  'a blank before the colon': `POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  'a blank before the colon of a length': `POST /a HTTP/1.1\r\nHost: x\r\nContent-Length : 0\r\n\r\n${SMUGGLED}`,
  'a folded header': `POST /a HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n Transfer-Encoding: chunked\r\n\r\n${SMUGGLED}`,
  'a folded Transfer-Encoding': `POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  'a folded first header': `GET /a HTTP/1.1\r\n X-A: 1\r\nHost: x\r\n\r\n${SMUGGLED}`,
  'a folded header with a tab': `GET /a HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n\t2\r\n\r\n${SMUGGLED}`,
  'a bare CR in a value': `GET /a HTTP/1.1\r\nHost: x\r\nX-A: 1\rTransfer-Encoding: chunked\r\n\r\n${SMUGGLED}`,
  'a bare LF after a header': `GET /a HTTP/1.1\r\nHost: x\nX-A: 1\r\n\r\n${SMUGGLED}`,
  'a bare LF after the request line': `GET /a HTTP/1.1\nHost: x\r\n\r\n${SMUGGLED}`,
  'a bare LF at the end of the head': `GET /a HTTP/1.1\r\nHost: x\r\n\n${SMUGGLED}`,
  'a bare CR at the end of the head': `GET /a HTTP/1.1\r\nHost: x\r\n\r${SMUGGLED}`,
  'a NUL in a value': `GET /a HTTP/1.1\r\nHost: x\r\nX-A: 1\x002\r\n\r\n${SMUGGLED}`,
  'a NUL in a name': `GET /a HTTP/1.1\r\nHost: x\r\nX\x00A: 1\r\n\r\n${SMUGGLED}`,
  'a header without a colon': `GET /a HTTP/1.1\r\nHost: x\r\nX-A\r\n\r\n${SMUGGLED}`,
  'an empty header name': `GET /a HTTP/1.1\r\nHost: x\r\n: 1\r\n\r\n${SMUGGLED}`,
  'a chunk size that is no number': `POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n${SMUGGLED}`,
  'a negative chunk size': `POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n${SMUGGLED}`,
  'a chunk size with 0x': `POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n${SMUGGLED}`,
  'a chunk size beyond all bounds': `POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n${SMUGGLED}`,
  'an empty chunk size': `POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  'a chunk longer than it says': `POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n${SMUGGLED}`,
  'a chunk size that ends with a bare LF': `POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n${SMUGGLED}`,
  'a chunk that ends with a bare LF': `POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n${SMUGGLED}`,
  'a chunk extension with a bare LF': `POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;a\nb\r\nabc\r\n0\r\n\r\n${SMUGGLED}`,
  'no Host': `GET /a HTTP/1.1\r\n\r\n${SMUGGLED}`,
  'two Hosts': `GET /a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n${SMUGGLED}`,
  'a blank in the target': `GET /a b HTTP/1.1\r\nHost: x\r\n\r\n${SMUGGLED}`,
  'an unknown version': `GET /a HTTP/9.9\r\nHost: x\r\n\r\n${SMUGGLED}`,
  'the preface of HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'an unknown method': `BREW /a HTTP/1.1\r\nHost: x\r\n\r\n${SMUGGLED}`,
  'no HTTP at all': `\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03`,
  'an upgrade with two lengths': `POST /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 37\r\nContent-Length: 0\r\n\r\n${SMUGGLED}`,
  'an upgrade with both lengths': `POST /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  'a target without a scheme': `GET x:80 HTTP/1.1\r\nHost: x\r\n\r\n${SMUGGLED}`,
  'a target of another scheme': `GET ftp://x/a HTTP/1.1\r\nHost: x\r\n\r\n${SMUGGLED}`,
  'a target with a user name': `GET http://x@y/a HTTP/1.1\r\nHost: x\r\n\r\n${SMUGGLED}`,
  'a target without a host': `GET http:///a HTTP/1.1\r\nHost: x\r\n\r\n${SMUGGLED}`,
  'a star that asks for no options': `GET * HTTP/1.1\r\nHost: x\r\n\r\n${SMUGGLED}`,
}

describe('what is ambiguous is refused', () => {
  test.each(Object.entries(REFUSED))('%s', async (_name, bytes) => {
    const got: string[] = []
    const target = await rawInstance('one', (socket, received) => {
      got.push(received)
      if (received.includes('\r\n\r\n')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
    })
    const { port } = await openBalancer([target])
    const client = await rawClient(port, bytes)
    await until('the connection is closed', () => client.closed())
    expect(client.seen()).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/)
    expect(client.seen()).toContain('X-Understudy: bad-request')
    // One answer, and the only request line that may have reached the instance is that of a body that went bad later.
    expect(client.seen().match(/HTTP\/1\.1 \d/g)).toHaveLength(1)
    const all = got.join('')
    expect(all).not.toContain('smuggled')
    expect(all.match(/HTTP\/1\.1\r\n/g) ?? []).toHaveLength(all === '' ? 0 : 1)
  })

  test('too large a head gets 431', async () => {
    const { port } = await openBalancer([])
    const client = await rawClient(port, `GET / HTTP/1.1\r\nHost: x\r\nX-A: ${'a'.repeat(20_000)}\r\n\r\n`)
    await until('the connection is closed', () => client.closed())
    expect(client.seen()).toMatch(/^HTTP\/1\.1 431 /)
  })

  test('the body of an upgrade that is ignored stays a body', async () => {
    let got = ''
    const target = await rawInstance('one', (socket, received) => {
      got += received
      if (got.includes(SMUGGLED)) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    })
    const { port } = await openBalancer([target])
    const head =
      'POST /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n'
    const client = await rawClient(port, `${head}Content-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`)
    await until('it is answered', () => client.seen().endsWith('ok'))
    expect(got).toMatch(/^POST \/a HTTP\/1\.1\r\n/)
    expect(got.slice(0, got.indexOf('\r\n\r\n'))).not.toMatch(/upgrade|http2-settings/i)
    expect(got).toContain(`Content-Length: ${SMUGGLED.length}\r\n`)
    expect(client.seen().match(/HTTP\/1\.1 /g)).toHaveLength(1)
  })

  test('a request before the bad one is answered, one behind it never is', async () => {
    const got: string[] = []
    const target = await rawInstance('one', (socket, received) => {
      got.push(received)
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    })
    const { port } = await openBalancer([target])
    const client = await rawClient(port, 'GET /good HTTP/1.1\r\nHost: x\r\n\r\n')
    await until('the good one is answered', () => client.seen().endsWith('ok'))
    client.socket.write(`GET /bad HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n${SMUGGLED}`)
    await until('the connection is closed', () => client.closed())
    expect(client.seen()).toContain('400 Bad Request')
    expect(got.join('')).not.toMatch(/bad|smuggled/)
  })
})

describe('an instance cannot smuggle an answer either', () => {
  const answers: Readonly<Record<string, string>> = {
    'both lengths': 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'lengths that differ': 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok',
    'a bare LF': 'HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok',
    'a folded header': 'HTTP/1.1 200 OK\r\nX-A: 1\r\n b\r\nContent-Length: 2\r\n\r\nok',
    'no HTTP': 'hello\r\n\r\n',
  }
  test.each(Object.entries(answers))('%s', async (_name, bytes) => {
    const target = await rawInstance('one', (socket) => socket.write(bytes))
    const { port } = await openBalancer([target])
    const client = await rawClient(port, 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n')
    await until('it is answered', () => client.seen() !== '')
    expect(client.seen()).toMatch(/^HTTP\/1\.1 502 /)
  })

  test('bytes behind an answer never become the next one', async () => {
    const extra = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen'
    const target = await rawInstance('one', (socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok${extra}`)
    })
    const { port } = await openBalancer([target])
    for (let turn = 0; turn < 5; turn++) {
      const client = await rawClient(port, 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
      await until('it is answered', () => client.closed())
      expect(client.seen()).toMatch(/\r\n\r\nok$/)
    }
  })
})
