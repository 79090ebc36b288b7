import { createServer } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { Cancels } from './cancel-keys.ts'

const servers: ReturnType<typeof createServer>[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

/** Remembers what came, as the process number and the key in a cancel request. */
async function listener(): Promise<{ port: number; heard: string[] }> {
  const heard: string[] = []
  const server = createServer((socket) => {
    socket.on('data', (bytes) => {
      heard.push(`${bytes.readInt32BE(8)} ${bytes.toString('hex', 12)}`)
      socket.end()
    })
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { port: (server.address() as { port: number }).port, heard }
}

const peers = ['127.0.0.1', '127.0.0.2', '127.0.0.3']
const at = (host: string, port = 1) => ({ peers, host, port })
const cancel = (cancels: Cancels, key: { pid: number; key: Buffer }, neighbours = at('127.0.0.1')) =>
  new Promise<void>((resolve) => cancels.cancel(key, false, neighbours, resolve))

test('a client gets the number of its process, and its key cancels where its session is now', async () => {
  const server = await listener()
  const cancels = new Cancels()
  let backend = { host: '127.0.0.1', port: server.port, pid: 4711, key: Buffer.from('aabbccdd', 'hex') }
  const key = cancels.enter({ backend: () => backend }, 4711, at('127.0.0.1'))
  expect(key.pid).toBe(4711)
  await cancel(cancels, key)
  backend = { ...backend, pid: 5000, key: Buffer.from('11223344', 'hex') }
  await cancel(cancels, key)
  expect(server.heard).toEqual(['4711 aabbccdd', '5000 11223344'])
})

test('two sessions may have the same number, on two servers', async () => {
  const server = await listener()
  const cancels = new Cancels()
  const backend = (pid: number) => ({ host: '127.0.0.1', port: server.port, pid, key: Buffer.alloc(4) })
  const one = cancels.enter({ backend: () => backend(1) }, 4711, at('127.0.0.1'))
  const other = cancels.enter({ backend: () => backend(2) }, 4711, at('127.0.0.1'))
  cancels.leave(one)
  await cancel(cancels, other)
  await cancel(cancels, one)
  expect(server.heard).toEqual(['2 00000000'])
})

test('the key says which node has the session, and a request that comes elsewhere is handed on there once', async () => {
  const balancer = await listener()
  const key = new Cancels().enter({ backend: () => undefined }, 4711, at('127.0.0.1'))
  const elsewhere = new Cancels()
  await cancel(elsewhere, key, at('127.0.0.2', balancer.port))
  expect(balancer.heard).toEqual([`4711 ${key.key.toString('hex')}`])
  await new Promise<void>((resolve) => elsewhere.cancel(key, true, at('127.0.0.2', balancer.port), resolve))
  expect(balancer.heard).toHaveLength(1)
})
