import { createServer } from 'node:net'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { UnderstudyError } from '../errors.ts'
import type { Clock } from '../lib/clock.ts'
import { type ApiServer, serveApi } from './api-server.ts'
import { FakeSurface } from './fake-surface.ts'

const TOKEN = 'open-sesame'
const servers: ApiServer[] = []
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()))
})

async function serve(options: { clock?: Clock; onBug?: (error: unknown) => void } = {}) {
  const surface = new FakeSurface()
  const server = await serveApi({ surface, host: '127.0.0.1', port: 0, token: TOKEN, ...options })
  servers.push(server)
  const call = (path: string, init: RequestInit = {}) =>
    fetch(`http://127.0.0.1:${server.port}${path}`, {
      ...init,
      headers: { authorization: `Bearer ${TOKEN}`, ...init.headers },
    })
  return { surface, server, call }
}

async function codeOf(response: Response): Promise<string> {
  const body = (await response.json()) as { error: { code: string; message: string } }
  expect(body.error.message).not.toBe('')
  return body.error.code
}

describe('the token', () => {
  it('is asked for by everything but healthz, before a route is even looked for', async () => {
    const { call } = await serve()
    for (const path of ['/v1/status', '/v1/events', '/metrics', '/v1/openapi.json', '/nothing']) {
      for (const authorization of ['', 'Bearer', 'Bearer wrong', `Basic ${TOKEN}`, `Bearer ${TOKEN}x`]) {
        const response = await call(path, { headers: { authorization } })
        expect(response.status, `${path} ${authorization}`).toBe(401)
        expect(await codeOf(response)).toBe('UND_UNAUTHORIZED')
      }
    }
    expect((await call('/v1/stop', { method: 'POST', headers: { authorization: '' } })).status).toBe(401)
  })

  it('is not needed for healthz, which says who it is and no more', async () => {
    const { call } = await serve()
    const response = await call('/v1/healthz', { headers: { authorization: '' } })
    expect(await response.json()).toEqual({ ok: true, node: 'a' })
  })
})

describe('calls', () => {
  it('are answered when the agent has looked, and not before', async () => {
    const { call, surface } = await serve()
    surface.ready = false
    for (const path of ['/v1/status', '/v1/events', '/metrics']) {
      const response = await call(path)
      expect(response.status).toBe(503)
      expect(await codeOf(response)).toBe('UND_STARTING')
    }
    expect((await call('/v1/healthz')).status).toBe(200)
    surface.ready = true
    expect((await call('/v1/status')).status).toBe(200)
  })

  it('answers with what the agent knows', async () => {
    const { call, surface } = await serve()
    expect(await (await call('/v1/status')).json()).toEqual(surface.current)
    expect(await (await call('/v1/receipts')).json()).toEqual(surface.changes)
    expect(await (await call('/v1/why/web')).json()).toMatchObject({ service: 'web' })
    surface.happen('a-1')
    surface.happen('a-2')
    expect(await (await call('/v1/events?last=1')).json()).toEqual([surface.kept[1]])
  })

  it('passes on what is asked', async () => {
    const { call, surface } = await serve()
    const body = JSON.stringify({ service: 'mailer', to: 'b' })
    expect((await call('/v1/switchover', { method: 'POST', body })).status).toBe(202)
    expect((await call('/v1/nodes/b/drain', { method: 'POST' })).status).toBe(202)
    expect((await call('/v1/nodes/b/undrain', { method: 'POST', body: '{}' })).status).toBe(202)
    expect((await call('/v1/stop', { method: 'POST' })).status).toBe(202)
    expect(surface.asked).toEqual(['switchover mailer to b', 'drain b', 'undrain b', 'stop the cluster'])
  })

  it.each([
    ['', 'not JSON'],
    ['{', 'not JSON'],
    ['[]', 'JSON object'],
    ['{}', '“service” is missing'],
    ['{"service": 3}', '“service” must be a name'],
    ['{"service": "web", "to": ""}', '“to” must be a name'],
    ['{"service": "web", "too": "b"}', '"too" is not known'],
  ])('refuses the switchover body %s', async (body, says) => {
    const { call, surface } = await serve()
    const response = await call('/v1/switchover', { method: 'POST', body })
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({
      error: { code: 'UND_BAD_REQUEST', message: expect.stringContaining(says) },
    })
    expect(surface.asked).toEqual([])
  })

  it('refuses fields where none belong, and a count that is none', async () => {
    const { call, surface } = await serve()
    expect((await call('/v1/stop', { method: 'POST', body: '{"now": true}' })).status).toBe(400)
    expect((await call('/v1/events?last=-1')).status).toBe(400)
    expect(surface.asked).toEqual([])
  })

  it('refuses a body that is too large, whether it says so or not', async () => {
    const { call } = await serve()
    const body = 'x'.repeat(70_000)
    const stream = new Blob([body]).stream()
    expect((await call('/v1/switchover', { method: 'POST', body })).status).toBe(413)
    expect((await call('/v1/switchover', { method: 'POST', body: stream, duplex: 'half' } as RequestInit)).status).toBe(
      413,
    )
  })

  it('says 404 for what is not there and 405 with Allow for the wrong method', async () => {
    const { call } = await serve()
    const missing = await call('/v1/nothing')
    expect([missing.status, await codeOf(missing)]).toEqual([404, 'UND_BAD_REQUEST'])
    const wrong = await call('/v1/switchover')
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'POST'])
    expect((await call('/v1/status', { method: 'DELETE' })).status).toBe(405)
    expect((await call('/v1/nodes/a/drain')).status).toBe(405)
  })

  it.each([
    ['UND_REFUSED', 409],
    ['UND_UNKNOWN_NODE', 404],
    ['UND_STORE_AWAY', 503],
    ['UND_TIMED_OUT', 504],
    ['UND_INTERNAL', 500],
  ] as const)('answers %s with %i', async (code, status) => {
    const { call, surface } = await serve()
    surface.refuseWith = new UnderstudyError(code, 'for a reason')
    const response = await call('/v1/stop', { method: 'POST' })
    expect([response.status, await response.json()]).toEqual([status, { error: { code, message: 'for a reason' } }])
  })

  it('keeps the details of a bug to itself and to the log', async () => {
    const onBug = vi.fn()
    const { call, surface } = await serve({ onBug })
    surface.refuseWith = new TypeError('secret internals')
    const response = await call('/v1/stop', { method: 'POST' })
    const text = await response.text()
    expect(response.status).toBe(500)
    expect(text).toContain('UND_INTERNAL')
    expect(text).not.toContain('secret')
    expect(onBug).toHaveBeenCalledWith(surface.refuseWith)
  })
})

describe('listening', () => {
  it('says that the port is taken, and by nothing less than its code', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => other.once('listening', resolve))
    const { port } = other.address() as { port: number }
    try {
      const failed = serveApi({ surface: new FakeSurface(), host: '127.0.0.1', port, token: TOKEN })
      await expect(failed).rejects.toMatchObject({ code: 'UND_PORT_TAKEN' })
    } finally {
      other.close()
    }
  })

  it('says that an address is not of this machine', async () => {
    const failed = serveApi({ surface: new FakeSurface(), host: '192.0.2.1', port: 0, token: TOKEN })
    await expect(failed).rejects.toMatchObject({ code: 'UND_ADDRESS_NOT_LOCAL' })
  })
})
