import { createServer, type Server } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { allChecks, exchange, execCheck, httpCheck } from './health-check.ts'

const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0)) close()
})

function listen(server: Server | ReturnType<typeof createTcpServer>): Promise<number> {
  closers.push(() => server.close())
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port))
  })
}
const target = (port: number, path = '/') => ({ host: '127.0.0.1', port, path, timeoutMs: 200 })

describe('one HTTP check', () => {
  it('makes a connection of its own each time', async () => {
    let connections = 0
    const server = createServer((_, response) => response.end('ok'))
    server.on('connection', () => {
      connections += 1
    })
    const check = httpCheck(target(await listen(server)))
    for (let n = 0; n < 3; n += 1) expect(await check()).toEqual({ ok: true, note: '' })
    expect(connections).toBe(3)
  })

  it('2xx and 3xx are healthy, others are not', async () => {
    let status = 200
    const port = await listen(createServer((_, response) => response.writeHead(status).end()))
    for (status of [204, 301, 400, 404, 500, 503]) {
      const { ok, note } = await httpCheck(target(port, '/x'))()
      expect(ok).toBe(status < 400)
      if (!ok) expect(note).toBe(`GET http://127.0.0.1:${port}/x answered ${status}, expected 200-399`)
    }
  })

  it('a head without a body in time is a miss: what hangs half way hangs', async () => {
    const server = createServer((_, response) => response.writeHead(200, { 'content-length': 10 }).flushHeaders())
    const port = await listen(server)
    closers.push(() => server.closeAllConnections())
    expect(await httpCheck(target(port))()).toEqual({
      ok: false,
      note: `GET http://127.0.0.1:${port}/: no answer within 200 ms`,
    })
  })

  it('a long answer is not read to its end', async () => {
    const server = createServer((_, response) => {
      const more = () => {
        while (!response.destroyed && response.write('x'.repeat(16_384)));
      }
      response.on('drain', more)
      more()
    })
    expect((await httpCheck(target(await listen(server)))()).ok).toBe(true)
  })

  it('no listener, a broken connection, and what is not HTTP are told apart', async () => {
    const gone = createTcpServer()
    const port = await listen(gone)
    await new Promise((resolve) => gone.close(resolve))
    expect(await exchange(target(port), 'GET')).toMatchObject({ problem: 'connection refused', refused: true })
    const cut = await listen(createTcpServer((socket) => socket.resetAndDestroy()))
    expect(await exchange(target(cut), 'GET')).toMatchObject({ problem: 'connection reset', refused: false })
    const noise = await listen(createTcpServer((socket) => socket.end('220 mail ready\r\n')))
    expect(await exchange(target(noise), 'GET')).toMatchObject({ problem: 'the answer is not HTTP', refused: false })
  })
})

describe('checks together', () => {
  const exec = (run: string | readonly string[]) =>
    execCheck({ run, cwd: '/', env: () => ({ PATH: process.env.PATH }), runAs: null, timeoutMs: 2_000 })

  it('all must pass', async () => {
    expect(await allChecks([exec('true'), exec(['true'])])()).toEqual({ ok: true, note: '' })
    expect(await allChecks([exec('true'), exec('exit 3')])()).toEqual({ ok: false, note: 'check: ended with code 3' })
  })

  it('one whose environment cannot be made was not asked, and says why', async () => {
    const env = () => {
      throw new Error('secret “db-password” cannot be opened')
    }
    const check = execCheck({ run: 'true', cwd: '/', env, runAs: null, timeoutMs: 2_000 })
    const note = 'check: not run: secret “db-password” cannot be opened'
    expect(await allChecks([check])()).toEqual({ ok: false, asked: false, note })
    expect(await allChecks([exec('exit 3'), check])()).toMatchObject({ note: 'check: ended with code 3' })
  })

  it('one that cannot be run has failed', async () => {
    expect((await allChecks([exec([])])()).note).toContain('cannot be run')
    expect((await allChecks([exec(['/no/such/program'])])()).note).toContain('cannot be run')
  })
})
