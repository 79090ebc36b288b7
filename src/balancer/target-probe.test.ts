import { type AddressInfo, createServer, type Server } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { openSocket } from './http/instance-connection.ts'
import { type ProbeAnswer, probe } from './target-probe.ts'

let server: Server | undefined
afterEach(() => server?.close())

test('a probe that only connects closes its connection at once: a server may wait for its clients', async () => {
  let resolve: (afterMs: number) => void = () => {}
  const closed = new Promise<number>((done) => {
    resolve = done
  })
  server = createServer((socket) => {
    const from = performance.now()
    socket.resume()
    socket.on('error', () => {}) // how it ends is not the question
    // It answers nothing and closes nothing by itself.
    socket.allowHalfOpen = true
    socket.on('end', () => {
      resolve(performance.now() - from)
      socket.destroy()
    })
  })
  await new Promise<void>((listening) => server?.listen(0, '127.0.0.1', listening))
  const { port } = server.address() as AddressInfo
  const answer = await new Promise<ProbeAnswer>((done) =>
    probe({ host: '127.0.0.1', port, path: null, patienceMs: 60_000 }, openSocket, done),
  )
  expect(answer).toEqual({ kind: 'answered' })
  expect(await closed, 'long before its patience ends').toBeLessThan(15_000)
})
