/** The agent's check and the balancer's probe, asked the same: what one of them accepts, the other accepts. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createHttp, type IncomingMessage, type RequestListener } from 'node:http'
import { createServer as createHttps } from 'node:https'
import { type AddressInfo, createServer as createTcp, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { ownCertificate } from '../agent/own-certificate.ts'
import { openSocket } from '../balancer/http/instance-connection.ts'
import { probe } from '../balancer/target-probe.ts'
import { httpCheck } from '../drivers/process/health-check.ts'
import { tellPromotion } from '../drivers/process/promote-hook.ts'
import type { HttpQuestion } from './http-question.ts'

const WAIT_MS = 20_000

const ASKERS: [string, (port: number, question: HttpQuestion, waitMs?: number) => Promise<string>][] = [
  [
    "the agent's check",
    async (port, question, timeoutMs = WAIT_MS) => {
      const { ok, note } = await httpCheck({ ...question, host: '127.0.0.1', port, timeoutMs })()
      return ok ? 'good' : note
    },
  ],
  [
    "the balancer's probe",
    (port, question, patienceMs = WAIT_MS) =>
      new Promise((resolve) => {
        probe({ ...question, host: '127.0.0.1', port, patienceMs }, openSocket, (answer) => {
          resolve(answer.kind === 'answered' ? 'good' : answer.kind === 'unhealthy' ? answer.said : answer.kind)
        })
      }),
  ],
]

const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0)) close()
})

function listen(server: Server): Promise<number> {
  closers.push(() => server.close())
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
  })
}

let pair: { readonly cert: string; readonly key: string }
let ca: string
beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-https-'))
  pair = await ownCertificate(folder, { name: 'shop', address: '127.0.0.1', zone: 'a', region: 'a' }, Date.now())
  ca = join(folder, 'ca.pem')
  writeFileSync(ca, pair.cert)
  return () => rmSync(folder, { recursive: true })
})

test('the promotion hook of a program that speaks TLS is told over TLS', async () => {
  const bodies: string[] = []
  const port = await listen(
    createHttps(pair, (request, response) => {
      request.on('data', (chunk: Buffer) => bodies.push(`${request.method} ${request.url} ${chunk}`))
      request.on('end', () => response.writeHead(204).end())
    }),
  )
  const hook = { host: '127.0.0.1', port, hook: { http: '/promote' }, identity: { pid: 1, startTime: 1 }, term: 7 }
  await tellPromotion({ ...hook, https: {} })
  expect(bodies).toEqual(['POST /promote {"role":"primary","term":7}'])
})

describe.each(ASKERS)('%s', (_, ask) => {
  const http = (answer: RequestListener) => listen(createHttp(answer))
  const https = (answer: RequestListener) => listen(createHttps(pair, answer))

  test('expects 200-399, or what the config says, and names what was asked, what came and what was expected', async () => {
    let status = 200
    const port = await http((_, response) => response.writeHead(status).end())
    const withText = async (question: HttpQuestion) => (await ask(port, question)).replace(`:${port}`, '')
    for (status of [200, 204, 302, 399]) expect(await withText({ path: '/x' }), `${status}`).toBe('good')
    for (status of [400, 404, 503]) {
      expect(await withText({ path: '/x' })).toBe(`GET http://127.0.0.1/x answered ${status}, expected 200-399`)
    }
    const only: HttpQuestion = {
      path: '/',
      status: [
        [200, 299],
        [401, 401],
      ],
    }
    for (status of [200, 299, 401]) expect(await withText(only), `${status}`).toBe('good')
    for (status of [300, 400, 402]) {
      expect(await withText(only)).toBe(`GET http://127.0.0.1/ answered ${status}, expected 200-299, 401`)
    }
  })

  test('does not follow a redirect, and hints before the answer are not the answer', async () => {
    const paths: (string | undefined)[] = []
    const port = await http(({ url }, response) => {
      paths.push(url)
      response.writeEarlyHints({ link: '</a.css>; rel=preload' })
      response.writeHead(302, { location: '/login' }).end()
    })
    expect(await ask(port, { path: '/', status: [[200, 299]] })).toMatch(/answered 302, expected 200-299$/)
    expect(await ask(port, { path: '/' })).toBe('good')
    expect(paths).toEqual(['/', '/'])
  })

  test('sends the headers of the config, Host among them, each once, and shows none', async () => {
    const heads: IncomingMessage['rawHeaders'][] = []
    const port = await http(({ rawHeaders }, response) => {
      heads.push(rawHeaders)
      response.writeHead(503).end()
    })
    const headers = { Host: 'shop.example', 'X-Key': 's3cret', accept: 'text/plain' }
    expect(await ask(port, { path: '/', headers })).not.toContain('s3cret')
    await ask(port, { path: '/' })
    const pairsOf = (raw: readonly string[] = []) =>
      raw.flatMap((name, at) => (at % 2 === 0 ? [`${name.toLowerCase()}: ${raw[at + 1]}`] : [])).toSorted()
    expect(pairsOf(heads[0])).toEqual([
      'accept: text/plain',
      'connection: close',
      'host: shop.example',
      'user-agent: understudy-probe',
      'x-key: s3cret',
    ])
    expect(pairsOf(heads[1])).toContain(`host: 127.0.0.1:${port}`)
  })

  test('over HTTPS: any certificate is good without a ca, and the name asked for is sent', async () => {
    const names: unknown[] = []
    const port = await https(({ socket }, response) => {
      names.push((socket as { servername?: unknown }).servername)
      response.writeHead(names.length > 2 ? 503 : 200).end('ok')
    })
    expect(await ask(port, { path: '/', https: {} })).toBe('good')
    expect(await ask(port, { path: '/', https: { servername: 'shop.example' } })).toBe('good')
    expect(names).toEqual([false, 'shop.example'])
    expect(await ask(port, { path: '/healthz', https: {} })).toBe(
      `GET https://127.0.0.1:${port}/healthz answered 503, expected 200-399`,
    )
  })

  test('over HTTPS with a ca: a certificate of it, for the address or for the name; no other', async () => {
    let asked = 0
    const port = await https((_, response) => {
      asked += 1
      response.end('ok')
    })
    expect(await ask(port, { path: '/', https: { ca } })).toBe('good')
    expect(await ask(port, { path: '/', https: { ca, servername: 'shop' } })).toBe('good')
    expect(asked).toBe(2)
    const headers = { Authorization: 's3cret' }
    expect(await ask(port, { path: '/', headers, https: { ca, servername: 'other' } })).toMatch(
      /^GET https:\/\/127.0.0.1:\d+\/: .*altnames/,
    )
    const folder = mkdtempSync(join(tmpdir(), 'understudy-https-'))
    closers.push(() => rmSync(folder, { recursive: true }))
    await ownCertificate(folder, { name: 'x', address: '127.0.0.1', zone: 'a', region: 'a' }, Date.now())
    expect(await ask(port, { path: '/', headers, https: { ca: join(folder, 'cert.pem') } })).toMatch(/self-signed/)
    expect(await ask(port, { path: '/', https: { ca: join(folder, 'gone.pem') } })).toMatch(/cannot be asked: ENOENT/)
    expect(asked, 'what is not trusted gets no request, and no secret').toBe(2)
  })

  test('over HTTPS: what speaks no TLS, and a connection that is cut', async () => {
    const plain = await http((_, response) => response.end())
    expect(await ask(plain, { path: '/', https: {} })).toMatch(
      /^GET https:\/\/127.0.0.1:\d+\/: TLS failed: wrong version number$/,
    )
    const cut = await listen(createTcp((socket) => socket.once('data', () => socket.resetAndDestroy())))
    expect(await ask(cut, { path: '/', https: {} })).toMatch(/connection reset|^reset$/)
  })

  test('over HTTPS: silence is a miss, in the handshake too', async () => {
    const silent = await listen(createTcp((socket) => closers.push(() => socket.destroy())))
    expect(await ask(silent, { path: '/', https: {} }, 200)).toMatch(/no answer within 200 ms|^missed$/)
  })

  test('a head without the body that it announces is a miss: what hangs half way hangs', async () => {
    const server = createHttp((_, response) => response.writeHead(200, { 'content-length': 10 }).flushHeaders())
    closers.push(() => server.closeAllConnections())
    expect(await ask(await listen(server), { path: '/' }, 200)).toMatch(/no answer within 200 ms|^missed$/)
  })

  test('the instance sees its connection end in order', async () => {
    const errors: unknown[] = []
    let ended = 0
    const server = createHttp((_, response) => response.end('x'.repeat(1_000)))
    server.on('connection', (socket) => {
      socket.on('error', (error) => errors.push(error))
      socket.on('close', () => {
        ended += 1
      })
    })
    const port = await listen(server)
    expect(await ask(port, { path: '/' })).toBe('good')
    await expect.poll(() => ended).toBe(1)
    expect(errors).toEqual([])
  })
})
