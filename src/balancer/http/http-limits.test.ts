/** Limits of one endpoint, each shown by a client or an instance that goes beyond it. */
import { afterEach, describe, expect, test } from 'vitest'
import {
  closeAll,
  closers,
  httpInstance,
  openBalancer,
  rawClient,
  rawInstance,
  until,
} from '../../../test/support/door.ts'

afterEach(closeAll)

const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
const WS = 'GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const body = (text: string): Record<string, unknown> => JSON.parse(text.slice(text.indexOf('\r\n\r\n'))) as never

describe('time', () => {
  test('an instance that has the request and begins no answer: 504, its fate unknown', async () => {
    const one = await httpInstance('one', () => {})
    const { port, balancer } = await openBalancer([one.target], { limits: { answerMs: 200 } })
    const client = await rawClient(port, GET)
    await until('it is answered', () => client.seen().endsWith('}\n'))
    expect(client.seen()).toMatch(/^HTTP\/1\.1 504 /)
    expect(body(client.seen())).toMatchObject({ error: 'answer-too-slow', fate: 'unknown' })
    expect(balancer.report()[0]?.open).toBe(0)
  })

  test('a body that stands still: 408, its fate unknown, and the connection ends', async () => {
    const one = await httpInstance('one', (incoming) => incoming.resume())
    const { port } = await openBalancer([one.target], { limits: { bodyMs: 200 } })
    const client = await rawClient(port, 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello')
    await until('the connection is closed', () => client.closed())
    expect(client.seen()).toMatch(/^HTTP\/1\.1 408 /)
    expect(body(client.seen())).toMatchObject({ error: 'body-too-slow', fate: 'unknown' })
  })

  test('a body and an answer that move slowly are not cut', async () => {
    const one = await httpInstance('one', (incoming, response) => {
      incoming.resume()
      incoming.on('end', () => {
        response.writeHead(200, { 'Content-Length': 4 })
        for (let part = 0; part < 4; part++) setTimeout(() => response.write('x'), part * 150)
      })
    })
    const limits = { bodyMs: 400, answerMs: 400, idleMs: 400 }
    const { port } = await openBalancer([one.target], { limits })
    const client = await rawClient(port, 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n')
    for (let part = 0; part < 4; part++) {
      await new Promise((resolve) => setTimeout(resolve, 150))
      client.socket.write('y')
    }
    await until('the answer is whole', () => client.seen().endsWith('xxxx'))
  })

  test('an answer under way that falls silent is cut', async () => {
    const target = await rawInstance('one', (socket) =>
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf'),
    )
    const { port, balancer } = await openBalancer([target], { limits: { idleMs: 200 } })
    const client = await rawClient(port, GET)
    await until('it is cut', () => client.reset())
    expect(client.seen()).toMatch(/half$/)
    expect(balancer.report()[0]?.open).toBe(0)
  })

  test('an upgraded connection that is silent in both directions is cut; one that is not stays', async () => {
    const target = await rawInstance('one', (socket, bytes) => socket.write(bytes.startsWith('GET') ? SWITCHED : bytes))
    const { port, balancer } = await openBalancer([target], { limits: { idleMs: 600 } })
    const [quiet, loud] = [await rawClient(port, WS), await rawClient(port, WS)]
    const beat = setInterval(() => loud.socket.write('beat'), 50)
    closers.push(() => clearInterval(beat))
    await until('the quiet one is cut', () => quiet.closed())
    expect(loud.closed()).toBe(false)
    expect(balancer.report()[0]).toMatchObject({ open: 1, streams: 1 })
  })

  test('a head that a client does not finish: 408', async () => {
    const { port } = await openBalancer([], { limits: { headMs: 300 } })
    const client = await rawClient(port, 'GET / HTTP/1.1\r\nHost: x\r\nX: ')
    await until('the connection is closed', () => client.closed())
    expect(client.seen()).toMatch(/^HTTP\/1\.1 408 /)
  })
})

describe('an answer that cannot be read', () => {
  test.each([
    ['LF alone at the end of each line', 'HTTP/1.1 200 OK\nContent-Length: 2\n\nok', 'ends in LF without CR'],
    ['no HTTP', '\x16\x03\x01 hello\r\n\r\n', 'status line'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok', 'Content-Length'],
    ['a protocol that was not asked for', SWITCHED, 'a protocol that was not asked for'],
  ])('%s: 502 that says what', async (_name, bytes, says) => {
    const target = await rawInstance('one', (socket) => socket.write(bytes))
    const { port } = await openBalancer([target])
    const client = await rawClient(port, 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n')
    await until('it is answered', () => client.seen().endsWith('}\n'))
    expect(client.seen()).toMatch(/^HTTP\/1\.1 502 [\s\S]*X-Understudy: bad-answer/)
    expect(body(client.seen())).toMatchObject({ error: 'bad-answer', fate: 'unknown' })
    expect(String(body(client.seen()).message)).toContain(says)
  })
})

describe('number', () => {
  test('more requests than one instance may have: held, then 503, told, and counted', async () => {
    const one = await httpInstance('one', () => {})
    const { port, balancer, verdicts } = await openBalancer([one.target], { limits: { requests: 2 }, holdMs: 200 })
    const first = await rawClient(port, GET)
    await rawClient(port, GET)
    await until('it is full', () => verdicts.includes('one full'))
    const third = await rawClient(port, GET)
    await until('it is answered', () => third.seen().endsWith('}\n'))
    expect(third.seen()).toMatch(/^HTTP\/1\.1 503 [\s\S]*X-Understudy: instances-full/)
    expect(body(third.seen())).toMatchObject({ fate: 'not-done' })
    expect(balancer.report()[0]).toMatchObject({ full: 1, open: 2 })
    first.socket.destroy()
    await until('it has room', () => verdicts.includes('one has room'))
  })

  test('streams and upgraded connections do not count as requests, and have a limit of their own', async () => {
    const target = await rawInstance('one', (socket, bytes) => {
      if (bytes.startsWith('GET /ws')) socket.write(SWITCHED)
      else if (bytes.startsWith('GET /sse')) socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n')
      else socket.write(OK)
    })
    const { port, balancer } = await openBalancer([target], { limits: { requests: 1, streams: 6 }, holdMs: 100 })
    for (const head of [WS, WS, WS, GET.replace('/', '/sse'), GET.replace('/', '/sse')]) {
      const client = await rawClient(port, head)
      await until('it is open', () => /^HTTP\/1\.1 (101|200) /.test(client.seen()))
    }
    expect(balancer.report()[0]).toMatchObject({ open: 5, streams: 5 })
    const plain = await rawClient(port, GET)
    await until('a request is answered', () => plain.seen().endsWith('ok'))
    const last = await rawClient(port, WS)
    await until('the last stream is open', () => last.seen() !== '')
    const more = await rawClient(port, WS)
    await until('one more is refused', () => more.seen() !== '')
    expect(more.seen()).toMatch(/^HTTP\/1\.1 503 /)
  })

  test('retries are few at a time until their outcome is known, not until their answers end', async () => {
    const asked = new Map<string, number>()
    const target = await rawInstance('one', (socket, bytes) => {
      const path = bytes.split(' ')[1] ?? ''
      asked.set(path, (asked.get(path) ?? 0) + 1)
      if (asked.get(path) === 1) socket.destroy()
      else if (path.startsWith('/events')) socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n')
      else socket.write(OK)
    })
    const { port } = await openBalancer([target], { holdMs: 3_000 })
    for (const path of ['/events1', '/events2', '/events3', '/events4']) {
      const stream = await rawClient(port, GET.replace('/', path))
      await until('the stream is open', () => stream.seen().includes('200'))
    }
    const plain = await rawClient(port, GET.replace('/', '/plain'))
    await until('a GET is answered', () => plain.seen().endsWith('ok'))
  })

  test('a retry whose turn does not come has a deadline', async () => {
    const asked = new Map<string, number>()
    const target = await rawInstance('one', (socket, bytes) => {
      const path = bytes.split(' ')[1] ?? ''
      asked.set(path, (asked.get(path) ?? 0) + 1)
      if (asked.get(path) === 1) socket.destroy()
    })
    const { port, balancer } = await openBalancer([target], { holdMs: 300 })
    for (const path of ['/a', '/b', '/c']) await rawClient(port, GET.replace('/', path))
    await until('all slots are taken', () => asked.size === 3 && [...asked.values()].every((count) => count === 2))
    const late = await rawClient(port, GET.replace('/', '/late'))
    await until('it is answered', () => late.seen().endsWith('}\n'))
    expect(late.seen()).toMatch(/^HTTP\/1\.1 503 /)
    expect(body(late.seen())).toMatchObject({ error: 'no-answer', fate: 'unknown' })
    expect(balancer.report()[0]?.open).toBe(3)
  })
})

describe('heads on their way to an instance', () => {
  const asked = async (bytes: string): Promise<{ got: string; seen: string; port: number }> => {
    let got = ''
    const target = await rawInstance('one', (socket, received) => {
      got += received
      if (got.includes('\r\n\r\n')) socket.write(OK)
    })
    const { port } = await openBalancer([target])
    const client = await rawClient(port, bytes)
    await until('it is answered', () => client.seen().endsWith('ok'))
    return { got, seen: client.seen(), port }
  }

  test('HTTP/1.0 without Host gets the address that the client reached', async () => {
    const { got, port } = await asked('OPTIONS / HTTP/1.0\r\n\r\n')
    expect(got).toMatch(new RegExp(`^OPTIONS / HTTP/1\\.1\r\nHost: 127\\.0\\.0\\.1:${port}\r\n`))
    expect(got.match(/Host:/g)).toHaveLength(2) // and X-Forwarded-Host
  })

  test.each([
    ['GET http://shop:81/a?b=c HTTP/1.1\r\nHost: other\r\n\r\n', 'GET /a?b=c HTTP/1.1\r\nHost: shop:81\r\n'],
    ['GET https://shop HTTP/1.1\r\nHost: other\r\n\r\n', 'GET / HTTP/1.1\r\nHost: shop\r\n'],
    ['GET http://shop?b HTTP/1.1\r\nHost: other\r\n\r\n', 'GET /?b HTTP/1.1\r\nHost: shop\r\n'],
    ['OPTIONS http://shop HTTP/1.1\r\nHost: other\r\n\r\n', 'OPTIONS * HTTP/1.1\r\nHost: shop\r\n'],
    ['GET http://[::1]:8/ HTTP/1.0\r\n\r\n', 'GET / HTTP/1.1\r\nHost: [::1]:8\r\n'],
  ])('an absolute target wins over Host: %j', async (bytes, head) => {
    const { got } = await asked(bytes)
    expect(got.startsWith(head)).toBe(true)
    expect(got).not.toContain('other')
  })

  test('interim answers are passed on to clients of HTTP/1.1, and to no others', async () => {
    const hints =
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </s.css>; rel=preload\r\nConnection: x\r\nX: 1\r\n\r\n'
    const target = await rawInstance('one', (socket) => socket.write(`${hints}HTTP/1.1 102 Processing\r\n\r\n${OK}`))
    const { port } = await openBalancer([target])
    const client = await rawClient(port, GET)
    await until('it is answered', () => client.seen().endsWith('ok'))
    expect(client.seen()).toMatch(
      /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/s\.css>; rel=preload\r\n\r\nHTTP\/1\.1 102 Processing\r\n\r\nHTTP\/1\.1 200 OK\r\n/,
    )
    const old = await rawClient(port, 'GET / HTTP/1.0\r\nHost: x\r\n\r\n')
    await until('it is answered', () => old.seen().endsWith('ok'))
    expect(old.seen()).toMatch(/^HTTP\/1\.1 200 OK/)
  })

  test('an instance that sends interim answers without end is not waited for', async () => {
    const target = await rawInstance('one', (socket) => socket.write('HTTP/1.1 102 Processing\r\n\r\n'.repeat(100)))
    const { port } = await openBalancer([target])
    const client = await rawClient(port, 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n')
    await until('it is answered', () => client.seen().endsWith('}\n'))
    expect(client.seen()).toMatch(/HTTP\/1\.1 502 /)
  })
})
