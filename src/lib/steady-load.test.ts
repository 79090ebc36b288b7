import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { failed, startLoad, summarize } from './steady-load.ts'

const servers: ReturnType<typeof createServer>[] = []
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})

async function serve(answer: (index: number) => number | 'never' | 'cut'): Promise<string> {
  const server = createServer((request, response) => {
    const what = answer(Number(request.headers['x-index']))
    if (what === 'cut') request.socket.destroy()
    if (typeof what === 'number') response.writeHead(what).end(`${request.method}`)
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

test('sends at its own pace, whether or not answers come', async () => {
  let first = true
  const url = await serve(() => {
    if (!first) return 200
    first = false
    return 'never'
  })
  const headers = (index: number): Record<string, string> => ({ 'x-index': String(index) })
  const load = startLoad({ urls: [url], method: 'GET', perSecond: 100, headers, timeoutMs: 400 })
  await new Promise((resolve) => setTimeout(resolve, 500))
  const shots = await load.stop()
  expect(shots.length).toBeGreaterThanOrEqual(50)
  expect(shots.filter(failed)).toMatchObject([{ index: 0, error: 'TIMED_OUT', status: undefined }])
  const [one, two] = shots.toSorted((a, b) => a.index - b.index)
  expect((two?.atMs ?? 0) - (one?.atMs ?? 0)).toBeCloseTo(10, 5)
})

test('tells failures by status and by error', async () => {
  const url = await serve((index) => (index === 0 ? 200 : index === 1 ? 503 : 'cut'))
  const headers = (index: number): Record<string, string> => ({ 'x-index': String(index) })
  const load = startLoad({ urls: [url], method: 'POST', perSecond: 50, body: () => 'x', headers })
  await new Promise((resolve) => setTimeout(resolve, 100))
  const shots = (await load.stop()).toSorted((a, b) => a.index - b.index)
  expect(shots[0]).toMatchObject({ status: 200, body: 'POST', error: undefined })
  expect(shots[1]).toMatchObject({ status: 503 })
  expect(shots[2]).toMatchObject({ status: undefined, error: 'ECONNRESET' })
  expect(summarize(shots)).toMatchObject({ requests: shots.length, failed: shots.length - 1 })
})
