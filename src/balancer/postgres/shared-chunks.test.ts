import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { ClientConnection } from './session/client-connection.ts'
import { lending, send } from './shared-chunks.ts'

const sockets: Socket[] = []
const servers: Server[] = []

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy()
  for (const server of servers.splice(0)) server.close()
})

interface Pair {
  readonly opened: Socket
  readonly accepted: Socket
  readonly server: Server
}

/** Both ends of a connection. */
async function pair(): Promise<Pair> {
  const server = createServer()
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const opened = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [[accepted]] = (await Promise.all([once(server, 'connection'), once(opened, 'connect')])) as [[Socket], unknown]
  for (const socket of [opened, accepted]) {
    sockets.push(socket)
    socket.on('error', () => {})
  }
  return { opened, accepted, server }
}

/** Everything from one to the other, at the pace of the slower one, as the balancer does it. */
function relay(from: Socket, to: Socket): void {
  from.on('data', (chunk) => {
    if (!send(to, chunk)) from.pause()
  })
  from.on('end', () => to.end())
  to.on('drain', () => from.resume())
}

describe('a socket that lends its chunks', () => {
  test.each(['opened', 'accepted'] as const)('reads into one buffer again and again: %s', async (which) => {
    const both = await pair()
    const other = which === 'opened' ? both.accepted : both.opened
    const lender = lending(both[which])
    expect(lender, 'the inside of Node is not what it was').not.toBe(both[which])
    const buffers = new Set<ArrayBufferLike>()
    let seen = ''
    lender.on('data', (chunk) => {
      buffers.add(chunk.buffer)
      seen += chunk.toString('latin1')
    })
    for (const text of ['one', 'two', 'three']) {
      other.write(text)
      await vi.waitFor(() => expect(seen).toContain(text))
    }
    expect(seen).toBe('onetwothree')
    expect(buffers.size).toBe(1)
  })

  test('to a reader that is slow: everything arrives as it was sent', async () => {
    const [front, back] = [await pair(), await pair()]
    relay(lending(front.accepted), lending(back.opened))
    const bytes = randomBytes(16 * 1024 * 1024)
    front.opened.end(bytes)
    const hash = createHash('sha256')
    let length = 0
    for await (const chunk of back.accepted) {
      hash.update(chunk as Buffer)
      length += (chunk as Buffer).length
      if (length % 7 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
    }
    expect(length).toBe(bytes.length)
    expect(hash.digest('hex')).toBe(createHash('sha256').update(bytes).digest('hex'))
  })

  test('behind a reader that stands still: what waits is not overwritten by what comes after it', async () => {
    const [front, back] = [await pair(), await pair()]
    const [from, to] = [lending(front.accepted), lending(back.opened)]
    from.on('data', (chunk) => send(to, chunk))
    back.accepted.pause()
    const sent: Buffer[] = []
    const passOne = async (): Promise<void> => {
      const piece = Buffer.alloc(8_000, `${sent.length} `)
      const arrived = new Promise<void>((resolve) => {
        let length = 0
        const count = (chunk: Buffer): void => {
          length += chunk.length
          if (length < piece.length) return
          from.off('data', count)
          resolve()
        }
        from.on('data', count)
      })
      front.opened.write(piece)
      sent.push(piece)
      await arrived
    }
    while (to.writableLength === 0) await passOne()
    for (let more = 0; more < 20; more++) await passOne()
    to.end()
    const chunks: Buffer[] = []
    for await (const chunk of back.accepted) chunks.push(chunk as Buffer)
    expect(Buffer.concat(chunks).equals(Buffer.concat(sent))).toBe(true)
  })

  test('both sides hear of the end, and the server that accepted it can close', async () => {
    const { opened, accepted, server } = await pair()
    const lender = lending(accepted)
    lender.on('data', () => {})
    const over = Promise.all([once(lender, 'close'), once(accepted, 'close'), once(opened, 'close')])
    opened.resume()
    opened.end('bye')
    await over
    const closed = once(server, 'close')
    server.close()
    await closed
  })

  test('destroying the socket that was accepted closes the connection', async () => {
    const { opened, accepted } = await pair()
    const lender = lending(accepted)
    opened.resume()
    const over = Promise.all([once(lender, 'close'), once(opened, 'close')])
    accepted.destroy()
    await over
  })

  test('a socket in which something waits is left as it is', async () => {
    const { opened, accepted } = await pair()
    opened.write('early')
    await vi.waitFor(() => expect(accepted.readableLength).toBe(5))
    expect(lending(accepted)).toBe(accepted)
    accepted.destroy()
    expect(lending(accepted)).toBe(accepted)
  })

  test('what is kept for later is kept as it was', async () => {
    const { accepted } = await pair()
    const seen: string[] = []
    const wire = new ClientConnection(
      accepted,
      systemClock,
      (chunk) => seen.push(chunk.toString('latin1')),
      () => {},
    )
    const chunk = Buffer.from('select 1')
    wire.keep(chunk)
    chunk.fill('x')
    wire.readKept()
    expect(seen).toEqual(['select 1'])
    wire.end()
  })
})
