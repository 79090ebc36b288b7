/** What a client may do on one connection: many requests at once, bodies that are not wanted, bytes that are no request. */
import type { ServerResponse } from 'node:http'
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
import { PIPELINED_MAX } from './client-queue.ts'

afterEach(closeAll)

const GET = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
const POST = (path: string, body: string): string =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`
const statuses = (text: string): string[] => [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => match[1] ?? '')
const fates = (text: string): string[] => [...text.matchAll(/"fate":"([^"]+)"/g)].map((match) => match[1] ?? '')

describe('pipelined requests', () => {
  test('are carried out one at a time, in their order', async () => {
    const log: string[] = []
    const one = await httpInstance('one', (incoming, response) => {
      log.push(`begin ${incoming.url}`)
      incoming.resume()
      setTimeout(
        () => {
          log.push(`end ${incoming.url}`)
          response.end('ok')
        },
        incoming.url === '/1' ? 60 : 0,
      )
    })
    const { port } = await openBalancer([one.target])
    const client = await rawClient(port, ['/1', '/2', '/3'].map((path) => POST(path, 'hello')).join(''))
    await until('all are answered', () => statuses(client.seen()).length === 3)
    expect(log).toEqual(['begin /1', 'end /1', 'begin /2', 'end /2', 'begin /3', 'end /3'])
  })

  test('of one connection take no more of an endpoint than one request', async () => {
    const waiting: ServerResponse[] = []
    const one = await httpInstance('one', (_incoming, response) => waiting.push(response))
    const { port, balancer } = await openBalancer([one.target])
    await rawClient(port, GET('/slow').repeat(4_500))
    await until('the first is there', () => waiting.length === 1)
    const other = await rawClient(port, GET('/other'))
    await until('another client is served', () => waiting.length === 2)
    waiting[1]?.end('other')
    await until('another client is answered', () => other.seen().endsWith('other'))
    expect(balancer.report()[0]?.open).toBe(1)
  })

  test('beyond what is kept are not carried out, and the connection is closed after the last one that is', async () => {
    let asked = 0
    const one = await httpInstance('one', (_incoming, response) => {
      asked += 1
      response.end('ok')
    })
    const { port } = await openBalancer([one.target])
    const client = await rawClient(port, GET('/').repeat(PIPELINED_MAX * 10))
    await until('the connection is closed', () => client.closed())
    expect(client.reset()).toBe(false)
    expect(statuses(client.seen())).toHaveLength(asked)
    expect(client.seen().match(/Connection: close/g)).toHaveLength(1)
    expect(asked).toBeGreaterThan(PIPELINED_MAX)
  })

  test('many of them are all answered when they come in portions', async () => {
    const one = await httpInstance('one', (_incoming, response) => response.end('ok'))
    const { port } = await openBalancer([one.target])
    const client = await rawClient(port, '')
    for (let portion = 0; portion < 20; portion++) {
      client.socket.write(GET('/').repeat(50))
      await until('the portion is answered', () => statuses(client.seen()).length === (portion + 1) * 50)
    }
  })

  test('behind an upgrade that cannot happen any more: the answers before it come, then the connection ends', async () => {
    const one = await httpInstance('one', (_incoming, response) => response.end('x'.repeat(300_000)))
    const { port } = await openBalancer([one.target])
    const upgrade = 'GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
    const client = await rawClient(port, `${GET('/')}${upgrade}`)
    await until('the connection is closed', () => client.closed())
    expect(statuses(client.seen())).toEqual(['200'])
    expect(client.seen().length).toBeGreaterThan(300_000)
  })
})

describe('upgrades that are not offered', () => {
  test('are ignored, each time, on one connection', async () => {
    const warnings: Error[] = []
    const onWarning = (warning: Error): void => void warnings.push(warning)
    process.on('warning', onWarning)
    closers.push(() => process.off('warning', onWarning))
    const one = await httpInstance('one', (incoming, response) => {
      incoming.resume()
      incoming.on('end', () => response.end(`<${incoming.headers.upgrade}>`))
    })
    const { port, balancer } = await openBalancer([one.target])
    const wish = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n'
    const client = await rawClient(port, '')
    for (let turn = 1; turn <= 30; turn++) {
      client.socket.write(`POST / HTTP/1.1\r\nHost: x\r\n${wish}Content-Length: 5\r\n\r\nhello`)
      await until('it is answered', () => client.seen().split('<undefined>').length === turn + 1)
    }
    expect(warnings).toEqual([])
    expect(balancer.report()[0]).toMatchObject({ requests: 30, connections: 1, open: 0 })
  })
})

describe('an answer before the end of the request', () => {
  const refuseAtOnce = (path: string): string =>
    path === '/keep'
      ? 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbig'
      : 'HTTP/1.1 413 No\r\nContent-Length: 3\r\n\r\nbig'
  const early = () =>
    rawInstance('one', (socket, bytes) => {
      const path = /^[A-Z]+ (\S+) HTTP/.exec(bytes)?.[1]
      if (path !== undefined) socket.write(path === '/after' ? OK : refuseAtOnce(path))
    })
  const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nafter'

  test('arrives, although the client first sends all of a long body', async () => {
    const { port } = await openBalancer([await early()])
    const size = 30_000_000
    const client = await rawClient(port, `POST /413 HTTP/1.1\r\nHost: x\r\nContent-Length: ${size}\r\n\r\n`)
    client.socket.pause() // as a client that reads only when it has sent everything
    let isSent = false
    client.socket.write(Buffer.alloc(size, 'u'), () => {
      isSent = true
    })
    await until('the body is sent', () => isSent)
    client.socket.resume()
    await until('the connection is closed', () => client.closed())
    expect(statuses(client.seen())).toEqual(['413'])
    expect(client.seen()).toMatch(/Connection: close/i)
    expect(client.reset()).toBe(false)
  })

  test('that keeps the connection: the rest of the body is read, and the next request answered', async () => {
    const { port } = await openBalancer([await early()])
    const client = await rawClient(port, 'POST /keep HTTP/1.1\r\nHost: x\r\nContent-Length: 400000\r\n\r\nfirst')
    await until('it is answered', () => client.seen().endsWith('big'))
    expect(client.seen()).not.toMatch(/Connection: close/i)
    client.socket.write(Buffer.alloc(400_000 - 5, 'u'))
    client.socket.write(GET('/after'))
    await until('the next one is answered', () => client.seen().endsWith('after'))
  })

  test('a refusal of a little body keeps the connection', async () => {
    const { port } = await openBalancer([await early()])
    const client = await rawClient(port, 'POST /413 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nfirst')
    await until('it is answered', () => client.seen().endsWith('big'))
    client.socket.write(`${'u'.repeat(995)}${GET('/after')}`)
    await until('the next one is answered', () => client.seen().endsWith('after'))
    expect(client.seen()).not.toMatch(/Connection: close/i)
  })

  test.each([
    ['two Hosts', 'POST / HTTP/1.1\r\nHost: x\r\nHost: y\r\nContent-Length: 20000000\r\n\r\n', '400'],
    ['a bad header', 'POST / HTTP/1.1\r\nHost: x\r\nX Y: y\r\nContent-Length: 20000000\r\n\r\n', '400'],
    [
      'a long head',
      `POST / HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(40_000)}\r\nContent-Length: 20000000\r\n\r\n`,
      '431',
    ],
    ['no instance', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n\r\n', '503'],
  ])('a refusal of our own arrives while a long body comes: %s', async (_name, head, status) => {
    const { port } = await openBalancer([], { holdMs: 200 })
    const client = await rawClient(port, head)
    client.socket.pause()
    let isSent = false
    client.socket.write(Buffer.alloc(20_000_000, 'u'), () => {
      isSent = true
    })
    await until('the body is sent', () => isSent)
    client.socket.resume()
    await until('the connection is closed', () => client.closed())
    expect(statuses(client.seen())).toEqual([status])
    expect(client.reset()).toBe(false)
  })
})

describe('bytes that are no request', () => {
  test('behind a whole POST: it is answered first, and then they are refused', async () => {
    const one = await httpInstance('one', (incoming, response) => {
      incoming.resume()
      setTimeout(() => response.end('done'), 150)
    })
    const { port } = await openBalancer([one.target])
    const client = await rawClient(port, POST('/', 'hi'))
    setTimeout(() => client.socket.write('xtra bytes\r\n\r\n'), 40)
    await until('the connection is closed', () => client.closed())
    expect(statuses(client.seen())).toEqual(['200', '400'])
    expect(fates(client.seen())).toEqual(['not-done'])
    expect(client.seen()).toMatch(/done[\s\S]*not-done/)
  })

  test('within a body that an instance has begun to get: the fate is unknown', async () => {
    let got = ''
    const target = await rawInstance('one', (_socket, bytes) => {
      got += bytes
    })
    const { port } = await openBalancer([target])
    const client = await rawClient(
      port,
      'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
    )
    await until('the instance has some of it', () => got.includes('hello'))
    client.socket.write('no chunk at all\r\n')
    await until('the connection is closed', () => client.closed())
    expect(statuses(client.seen())).toEqual(['400'])
    expect(fates(client.seen())).toEqual(['unknown'])
  })

  test('within a body that waits for an instance: nothing was done', async () => {
    const { port } = await openBalancer([], { holdMs: 10_000 })
    const client = await rawClient(port, 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n')
    await until('the connection is closed', () => client.closed())
    expect(statuses(client.seen())).toEqual(['400'])
    expect(fates(client.seen())).toEqual(['not-done'])
  })
})
