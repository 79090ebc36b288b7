import { createServer, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { closeAll, closers, until } from '../../../test/support/door.ts'
import { type AnswerListener, type ConnectFailure, Connection, openSocket } from './instance-connection.ts'

afterEach(closeAll)

async function serve(onBytes: (socket: Socket, bytes: string) => void): Promise<number> {
  const server = createServer((socket) => {
    closers.push(() => socket.destroy())
    socket.on('error', () => {}) // the other end is closed on purpose
    socket.on('data', (chunk) => onBytes(socket, chunk.toString('latin1')))
  })
  closers.push(() => server.close())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not a port')
  return address.port
}

function opened(port: number): Promise<Socket | ConnectFailure> {
  return new Promise((resolve) => openSocket('127.0.0.1', port, 1_000, resolve))
}

function listener(log: string[]): AnswerListener {
  return {
    onInterim: ({ status }) => void log.push(`interim ${status}`),
    onHead: ({ status }) => void log.push(`head ${status}`),
    onBody: (chunk) => void log.push(`body ${chunk}`),
    onEnd: () => void log.push('end'),
    onUpgrade: (_head, _socket, rest) => void log.push(`upgrade ${rest}`),
    onBroken: () => void log.push('broken'),
    onDrain() {},
  }
}

/** Sends one request; `again` is what is done when the connection is given back. */
async function exchange(reply: string, again: (connection: Connection, log: string[]) => void): Promise<string[]> {
  const log: string[] = []
  const port = await serve((socket) => socket.write(reply))
  const socket = await opened(port)
  if (typeof socket === 'string') throw new Error(socket)
  const connection = new Connection(socket, {
    onFree(free) {
      log.push('free')
      again(free, log)
    },
    onClosed: () => void log.push('closed'),
  })
  closers.push(() => connection.destroy())
  connection.begin('GET', 'GET / HTTP/1.1\r\n\r\n', false, false, listener(log))
  await until('it is over', () => log.includes('free') || log.includes('closed'))
  return log
}

test('a connection is given back after a whole answer', async () => {
  const log = await exchange('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', () => {})
  expect(log).toEqual(['head 200', 'body ok', 'end', 'free'])
})

test('bytes behind an answer: it is never given back, however quickly a request would take it', async () => {
  const one = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
  const log = await exchange(one + one, (connection, seen) =>
    connection.begin('GET', 'GET / HTTP/1.1\r\n\r\n', false, false, listener(seen)),
  )
  expect(log).toEqual(['head 200', 'body ok', 'end', 'closed'])
})

test('no program listens: refused, and nothing else', async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  expect(await opened(typeof address === 'object' ? (address?.port ?? 0) : 0)).toBe('refused')
})
