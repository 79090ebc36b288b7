/** What HTTP promises has to hold through the balancer: bodies, framing, headers, and the rules for retries. */
import { createHash } from 'node:crypto'
import { Agent, type IncomingMessage, type OutgoingHttpHeaders, request, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import {
  closeAll,
  closers,
  freePort,
  httpInstance,
  openBalancer,
  rawClient,
  rawInstance,
  until,
} from '../../../test/support/door.ts'
import type { Target } from '../../core/routing-table.ts'

afterEach(closeAll)

interface Answer {
  readonly status: number | undefined
  readonly headers: IncomingMessage['headers']
  readonly raw: readonly string[]
  readonly trailers: IncomingMessage['trailers']
  readonly text: string
}

interface Ask {
  readonly method?: string
  readonly path?: string
  readonly headers?: OutgoingHttpHeaders
  readonly body?: string | Buffer
  readonly agent?: Agent
}

function ask(port: number, { method = 'GET', path = '/', headers = {}, body, agent }: Ask = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', port, method, path, headers, agent: agent ?? false }, (incoming) => {
      let text = ''
      incoming.setEncoding('latin1')
      incoming.on('data', (part) => {
        text += part
      })
      incoming.on('error', reject)
      incoming.on('end', () => {
        const { statusCode, rawHeaders, trailers } = incoming
        resolve({ status: statusCode, headers: incoming.headers, raw: rawHeaders, trailers, text })
      })
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

/** A target where no program listens. */
async function absent(id: string): Promise<Target> {
  return { id, node: 'a', host: '127.0.0.1', port: await freePort(), state: 'serving', term: 0 }
}

describe('passing on', () => {
  test('headers keep their order, spelling and repetitions; those of one hop end here', async () => {
    let seen: readonly string[] = []
    const one = await httpInstance('one', (incoming, response) => {
      seen = incoming.rawHeaders
      response.writeHead(201, 'Made', [
        'X-B',
        '2',
        'x-a',
        '1',
        'Set-Cookie',
        'a=1',
        'Set-Cookie',
        'b=2',
        'Upgrade',
        'h2c',
      ])
      response.end('made')
    })
    const { port } = await openBalancer([one.target])
    const client = await rawClient(
      port,
      'GET /p?q=1 HTTP/1.1\r\nhOsT: shop\r\nX-Twice: 1\r\nx-twice: 2\r\nConnection: close, X-Secret\r\nX-Secret: s\r\n' +
        'X-Forwarded-For: 9.9.9.9\r\nTE: trailers\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\n\r\n',
    )
    await until('it is answered', () => client.closed())
    expect(seen.join('|')).toBe(
      'hOsT|shop|X-Twice|1|x-twice|2|X-Forwarded-For|9.9.9.9, 127.0.0.1|X-Forwarded-Proto|http|X-Forwarded-Host|shop|Connection|keep-alive',
    )
    const head = client.seen()
    expect(head).toMatch(/^HTTP\/1\.1 201 Made\r\nX-B: 2\r\nx-a: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n/)
    expect(head).not.toMatch(/^(Upgrade|Server|Via|X-Understudy):/im)
  })

  test('bodies of a known length, in chunks, and with trailers, both ways', async () => {
    const one = await httpInstance('one', (incoming, response) => {
      const hash = createHash('sha256')
      incoming.on('data', (chunk) => hash.update(chunk))
      incoming.on('end', () => {
        response.writeHead(200, { Trailer: 'X-Sum' })
        response.write(`${incoming.headers['content-length'] ?? incoming.headers['transfer-encoding']} `)
        response.addTrailers({ 'X-Sum': incoming.rawTrailers.join('') || 'none' })
        response.end(hash.digest('hex'))
      })
    })
    const { port } = await openBalancer([one.target])
    const body = Buffer.alloc(300_000, 'abc')
    const sum = createHash('sha256').update(body).digest('hex')
    const known = await ask(port, { method: 'POST', body, headers: { 'Content-Length': body.length } })
    expect(known.text).toBe(`300000 ${sum}`)
    const chunked = await ask(port, { method: 'POST', body, headers: { 'Transfer-Encoding': 'chunked' } })
    expect(chunked.text).toBe(`chunked ${sum}`)
    expect(chunked.trailers).toEqual({ 'x-sum': 'none' })
    const client = await rawClient(
      port,
      'POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: X-Check\r\n\r\n3\r\nabc\r\n0\r\nX-Check: yes\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n',
    )
    await until('it is answered', () => client.closed())
    expect(client.seen()).toMatch(/0\r\nX-Sum: X-Checkyes\r\n\r\n$/)
  })

  test('answers without a body end where they should', async () => {
    const target = await rawInstanceThat('one', (bytes) => {
      if (bytes.startsWith('HEAD')) return 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n'
      if (bytes.includes('/204')) return 'HTTP/1.1 204 No Content\r\n\r\n'
      if (bytes.includes('/304')) return 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n'
      return 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345'
    })
    const { port } = await openBalancer([target])
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    expect(await ask(port, { agent, method: 'HEAD', path: '/200' })).toMatchObject({ status: 200, text: '' })
    expect(await ask(port, { agent, path: '/204' })).toMatchObject({ status: 204, text: '' })
    expect(await ask(port, { agent, path: '/304' })).toMatchObject({ status: 304, text: '' })
    expect(await ask(port, { agent, path: '/200' })).toMatchObject({ status: 200, text: '12345' })
    agent.destroy()
  })

  test('an answer that ends with its connection, to clients of either version', async () => {
    const target = await rawInstance('one', (socket) => socket.end('HTTP/1.0 200 OK\r\n\r\nuntil the end'))
    const { port } = await openBalancer([target])
    expect((await ask(port)).text).toBe('until the end')
    const old = await rawClient(port, 'GET / HTTP/1.0\r\n\r\n')
    await until('it is answered', () => old.closed())
    expect(old.seen()).toMatch(/\r\n\r\nuntil the end$/)
  })

  test('Expect: 100-continue is answered by the balancer when an instance is there', async () => {
    const one = await httpInstance('one', (incoming, response) => {
      incoming.resume()
      incoming.on('end', () => response.end(String(incoming.headers.expect)))
    })
    const { port } = await openBalancer([one.target])
    const head = 'POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n'
    const client = await rawClient(port, head)
    await until('it is told to go on', () => client.seen() === 'HTTP/1.1 100 Continue\r\n\r\n')
    client.socket.write('ok')
    await until('it is answered', () => client.closed())
    expect(client.seen()).toContain('200 OK')
  })

  test('a slow reader slows the instance down, and memory stays where it is', async () => {
    let written = 0
    const block = Buffer.alloc(64 * 1024)
    const one = await httpInstance('one', (_incoming, response) => {
      const more = (): void => {
        while (written < 400_000_000) {
          written += block.length
          if (!response.write(block)) return
        }
        response.end()
      }
      response.on('drain', more)
      more()
    })
    const { port } = await openBalancer([one.target])
    const client = await rawClient(port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    client.socket.pause()
    await new Promise((resolve) => setTimeout(resolve, 500))
    // What the kernel's buffers on this machine may take, and no more: a balancer without back-pressure reads all of
    // it.
    expect(written).toBeLessThan(60_000_000)
  })

  test('a slow instance slows the client down', async () => {
    let read = 0
    const one = await httpInstance('one', (incoming) => incoming.once('data', () => incoming.pause()))
    const { port } = await openBalancer([one.target])
    const client = await rawClient(port, 'PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 400000000\r\n\r\n')
    const block = Buffer.alloc(64 * 1024)
    const more = (): void => {
      while (read < 400_000_000) {
        read += block.length
        if (!client.socket.write(block)) return
      }
    }
    client.socket.on('drain', more)
    more()
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(read).toBeLessThan(60_000_000)
  })

  test('a client that leaves takes its request with it', async () => {
    let left = false
    let arrived = false
    const one = await httpInstance('one', (incoming) => {
      arrived = true
      incoming.socket.on('close', () => {
        left = true
      })
    })
    const { port, balancer } = await openBalancer([one.target])
    const client = await rawClient(port, 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n')
    await until('it arrived', () => arrived)
    client.socket.destroy()
    await until('the instance sees it leave', () => left)
    expect(balancer.report()[0]).toMatchObject({ open: 0, failed: 0 })
  })
})

describe('trying again', () => {
  test('refused: the next instance, whatever the method, and no error', async () => {
    const one = await httpInstance('one', (incoming, response) => {
      let text = ''
      incoming.on('data', (chunk) => {
        text += chunk
      })
      incoming.on('end', () => response.end(`got ${text}`))
    })
    const { port, balancer } = await openBalancer([await absent('x'), one.target, await absent('y')])
    const posts = Array.from({ length: 10 }, (_, index) => ask(port, { method: 'POST', body: `order ${index}` }))
    const texts = (await Promise.all(posts)).map(({ text }) => text)
    expect(texts).toEqual(posts.map((_, index) => `got order ${index}`))
    expect(balancer.report()[0]).toMatchObject({ failed: 0, requests: 10 })
  })

  /** Breaks each connection once a request has come, without a byte of an answer. */
  async function breaking(id: string, got: string[], also = ''): Promise<Target> {
    return rawInstance(id, (socket, bytes) => {
      got.push(bytes)
      if (also !== '') socket.write(also)
      setTimeout(() => socket.resetAndDestroy(), 20)
    })
  }

  test('reset before an answer: GET and PUT go elsewhere, with their bodies', async () => {
    const got: string[] = []
    const one = await httpInstance('one', (incoming, response) => {
      let text = ''
      incoming.on('data', (chunk) => {
        text += chunk
      })
      incoming.on('end', () => response.end(`${incoming.method} ${text}`))
    })
    const { port } = await openBalancer([await breaking('bad', got), one.target])
    for (let turn = 0; turn < 10; turn++) {
      expect((await ask(port)).text).toBe('GET ')
      expect((await ask(port, { method: 'PUT', body: 'whole' })).text).toBe('PUT whole')
    }
    expect(got.length).toBeGreaterThan(0)
  })

  test('an instance that dies breaks its connections first and refuses a moment later: a GET waits for its successor', async () => {
    let dies = false
    const sockets = new Set<Socket>()
    const dying = createServer((socket) => {
      socket.on('error', () => {}) // it is broken on purpose
      sockets.add(socket)
      socket.on('data', () => {
        if (dies) socket.resetAndDestroy()
        else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold')
        if (dies) setTimeout(() => dying.close(), 15)
      })
    })
    await new Promise<void>((resolve) => dying.listen(0, '127.0.0.1', resolve))
    closers.push(() => {
      dying.close()
      for (const socket of sockets) socket.destroy()
    })
    const { port: place } = dying.address() as AddressInfo
    const { port, route } = await openBalancer([
      { id: 'old', node: 'a', host: '127.0.0.1', port: place, state: 'serving', term: 1 },
    ])
    expect((await ask(port)).text).toBe('old')
    dies = true
    const asked = ask(port)
    await until('it refuses', () => !dying.listening)
    const next = await httpInstance('new', (_, response) => response.end('new'))
    route([{ ...next.target, term: 2 }])
    expect(await asked).toMatchObject({ status: 200, text: 'new' })
  })

  test('reset before an answer: a POST is never sent twice, unless it carries an Idempotency-Key', async () => {
    const got: string[] = []
    const { port } = await openBalancer([await breaking('one', got), await breaking('two', got)])
    const plain = await ask(port, { method: 'POST', body: 'x', headers: { 'X-N': 'plain' } })
    expect(plain).toMatchObject({ status: 502 })
    expect(JSON.parse(plain.text)).toMatchObject({ error: 'unknown-fate', fate: 'unknown' })
    expect(plain.headers['x-understudy']).toBe('unknown-fate')
    expect(got.filter((bytes) => bytes.includes('X-N: plain'))).toHaveLength(1)
    const keyed = await ask(port, { method: 'POST', body: 'x', headers: { 'X-N': 'keyed', 'Idempotency-Key': '7' } })
    expect(keyed.status).toBe(502)
    expect(got.filter((bytes) => bytes.includes('X-N: keyed'))).toHaveLength(2)
  })

  test('a body too long to keep is not sent twice', async () => {
    const got: string[] = []
    const { port } = await openBalancer([await breaking('one', got), await breaking('two', got)])
    const answer = await ask(port, { method: 'PUT', body: Buffer.alloc(200_000), headers: { 'X-N': 'long' } })
    expect(answer.status).toBe(502)
    expect(got.filter((bytes) => bytes.includes('X-N: long'))).toHaveLength(1)
  })

  test('after the first byte of an answer the client is cut, and never given half of one as a whole', async () => {
    const got: string[] = []
    const half = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n'
    const { port } = await openBalancer([await breaking('one', got, half), await breaking('two', got, half)])
    await expect(ask(port)).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect(got.filter((bytes) => bytes.startsWith('GET / '))).toHaveLength(1)
  })

  test('the only instance resets once: the request goes to it again over a fresh connection', async () => {
    let count = 0
    const target = await rawInstance('one', (socket) => {
      count += 1
      if (count === 1) socket.resetAndDestroy()
      else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain')
    })
    const { port } = await openBalancer([target])
    expect((await ask(port)).text).toBe('again')
  })

  test('the table says dead: what may be repeated moves, the rest is told that its fate is unknown', async () => {
    const waiting: string[] = []
    const hung = await rawInstance('hung', (_socket, bytes) => waiting.push(bytes))
    const one = await httpInstance('one', (_incoming, response) => response.end('moved'))
    const { port, route } = await openBalancer([hung], { probe: { path: '/healthz', everyMs: 100, timeoutMs: 250 } })
    const get = ask(port)
    const post = ask(port, { method: 'POST', body: 'x' })
    await until('both wait', () => waiting.length >= 2)
    route([{ ...hung, state: 'dead' }, one.target])
    expect((await get).text).toBe('moved')
    expect(await post).toMatchObject({ status: 502 })
  })

  test('draining: what is there ends in peace, nothing new comes', async () => {
    let arrived = 0
    const slow = await httpInstance('slow', (_incoming, response) => {
      arrived += 1
      setTimeout(() => response.end('slow'), 300)
    })
    const one = await httpInstance('one', (_incoming, response) => response.end('one'))
    const { port, route } = await openBalancer([slow.target])
    const open = ask(port)
    await until('it is there', () => arrived === 1)
    route([{ ...slow.target, state: 'draining' }, one.target])
    const texts = (await Promise.all(Array.from({ length: 10 }, () => ask(port)))).map(({ text }) => text)
    expect(new Set(texts)).toEqual(new Set(['one']))
    expect((await open).text).toBe('slow')
  })

  test('a request that makes instances hang is moved once and then left where it is', async () => {
    let reached = 0
    // It reads everything and answers nothing from the moment of the poisonous request on: probes too.
    const poisoned = async (id: string): Promise<Target> => {
      let hung = false
      return rawInstanceThat(id, (bytes) => {
        if (bytes.startsWith('GET /poison')) {
          hung = true
          reached += 1
        }
        return hung ? undefined : 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'
      })
    }
    const { port, verdicts } = await openBalancer([await poisoned('a'), await poisoned('b'), await poisoned('c')], {
      holdMs: 1_000,
      probe: { path: '/probe', everyMs: 50, timeoutMs: 100 },
    })
    const answer = await ask(port, { path: '/poison' })
    expect(answer).toMatchObject({ status: 503 })
    expect(reached).toBe(2)
    expect(verdicts.filter((verdict) => verdict.endsWith('dead'))).toHaveLength(2)
  })
})

function rawInstanceThat(id: string, answerTo: (bytes: string) => string | undefined): Promise<Target> {
  return rawInstance(id, (socket, bytes) => {
    const reply = answerTo(bytes)
    if (reply !== undefined) socket.write(reply)
  })
}

describe('health', () => {
  test('an instance that reports itself unhealthy gets nothing while another is healthy, and everything when none is', async () => {
    let status = 500
    const sick = await rawInstanceThat('sick', (bytes) =>
      bytes.startsWith('GET /status')
        ? `HTTP/1.1 ${status} X\r\nContent-Length: 0\r\n\r\n`
        : 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsick',
    )
    const well = await rawInstanceThat('well', () => 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell')
    const probe = { path: '/status', everyMs: 50, timeoutMs: 250 }
    const { port, route, verdicts } = await openBalancer([sick, well], { probe })
    await until('it is noticed', () => verdicts.includes('sick suspect'))
    for (let turn = 0; turn < 10; turn++) expect((await ask(port)).text).toBe('well')
    route([sick], { probe })
    expect((await ask(port)).text).toBe('sick')
    status = 200
    await until('it is well again', () => verdicts.at(-1) === 'sick healthy')
  })

  test('a busy instance that still answers clients is not called dead', async () => {
    let answered = 0
    // Probes are never answered; requests are.
    const busy = await rawInstance('busy', (socket, bytes) => {
      if (bytes.startsWith('GET /probe')) return
      answered += 1
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
    })
    const { port, verdicts } = await openBalancer([busy], { probe: { path: '/probe', everyMs: 50, timeoutMs: 200 } })
    const endMs = performance.now() + 1_000
    const agent = new Agent({ keepAlive: true })
    while (performance.now() < endMs) await ask(port, { agent })
    agent.destroy()
    expect(answered).toBeGreaterThan(10)
    expect(verdicts).not.toContain('busy dead')
  })

  test('clients that wait make the balancer probe long before its turn', async () => {
    const frozen = await rawInstance('frozen', () => {})
    const well = await rawInstanceThat('well', () => 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell')
    // At its turn it would be probed in a minute; the phase of the first probe is drawn from that minute as well.
    const probe = { path: '/probe', everyMs: 60_000, timeoutMs: 100 }
    const { port, verdicts } = await openBalancer([frozen, well], { probe })
    const answers = await Promise.all(Array.from({ length: 4 }, () => ask(port)))
    expect(answers.map(({ text }) => text)).toEqual(['well', 'well', 'well', 'well'])
    expect(verdicts).toContain('frozen dead')
  })
})

describe('connections', () => {
  async function countingInstance(): Promise<{ target: Target; connections: () => number }> {
    let connections = 0
    const one = await httpInstance('one', (_incoming, response) => response.end('ok'))
    one.server.on('connection', () => {
      connections += 1
    })
    return { target: one.target, connections: () => connections }
  }
  // Probes open connections of their own, so they stay away here.
  const unasked = { probe: { path: '/healthz', everyMs: 600_000, timeoutMs: 250 } }

  test('are used again, one after the other', async () => {
    const { target, connections } = await countingInstance()
    const { port } = await openBalancer([target], unasked)
    for (let turn = 0; turn < 5; turn++) await ask(port, { method: turn % 2 === 0 ? 'GET' : 'POST' })
    expect(connections()).toBe(1)
  })

  test('that were idle for a second are not good enough for a POST, but for a GET', async () => {
    const { target, connections } = await countingInstance()
    const { port } = await openBalancer([target], unasked)
    await ask(port)
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    await ask(port)
    expect(connections()).toBe(1)
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    await ask(port, { method: 'POST' })
    expect(connections()).toBe(2)
  })

  test('pipelined requests are answered in their order', async () => {
    const one = await httpInstance('one', (incoming, response) => {
      setTimeout(() => response.end(`<${incoming.url}>`), incoming.url === '/a' ? 100 : 0)
    })
    const { port } = await openBalancer([one.target])
    const client = await rawClient(
      port,
      ['/a', '/b', '/c'].map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).join(''),
    )
    await until('all are answered', () => client.seen().includes('</c>'))
    expect(client.seen().match(/<.*?>/g)).toEqual(['</a>', '</b>', '</c>'])
  })

  test('a client that leaves with requests waiting behind another leaves nothing open', async () => {
    const waiting: ServerResponse[] = []
    const one = await httpInstance('one', (_incoming, response) => waiting.push(response))
    const { port, balancer } = await openBalancer([one.target])
    const client = await rawClient(port, 'GET /a HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(3))
    await until('the first is open', () => waiting.length === 1)
    expect(balancer.report()[0]?.open).toBe(1)
    client.socket.destroy()
    await until('none is open', () => {
      for (const response of waiting) response.end('x'.repeat(100_000))
      return balancer.report()[0]?.open === 0
    })
  })

  test('a held request whose client leaves is forgotten', async () => {
    const { port, balancer } = await openBalancer([])
    const client = await rawClient(port, 'GET /a HTTP/1.1\r\nHost: x\r\n\r\n')
    await until('it is held', () => balancer.report()[0]?.held === 1)
    client.socket.destroy()
    await until('none is open', () => balancer.report()[0]?.open === 0)
  })

  test('an upgrade that the instance declines is an ordinary answer, and the connection ends with it', async () => {
    const one = await httpInstance('one', (_incoming, response) =>
      response.writeHead(426, { 'Content-Length': 2 }).end('no'),
    )
    const { port } = await openBalancer([one.target])
    const head = 'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
    const client = await rawClient(port, `${head}GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n`)
    await until('it is answered and closed', () => client.closed())
    expect(client.seen()).toMatch(/^HTTP\/1\.1 426 [\s\S]*\r\n\r\nno$/)
  })

  test('a wish for HTTP/2 is ignored', async () => {
    const one = await httpInstance('one', (incoming, response) => response.end(String(incoming.headers.upgrade)))
    const { port } = await openBalancer([one.target])
    const client = await rawClient(port, 'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n')
    await until('it is answered', () => client.seen().includes('undefined'))
    expect(client.seen()).toMatch(/200 OK[\s\S]*undefined/)
  })
})
