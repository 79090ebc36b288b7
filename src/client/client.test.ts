import { createServer, type Server } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { serveApi } from '../api/api-server.ts'
import { FakeSurface } from '../api/fake-surface.ts'
import { UnderstudyError } from '../errors.ts'
import { connect, type EventRecord } from './index.ts'
import { EventStreamParser } from './sse.ts'

const TOKEN = 'open-sesame'
const HOST = '127.0.0.1'
const opened: { close(): unknown }[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map((it) => it.close()))
})

async function agent(node: string, port = 0) {
  const surface = new FakeSurface(node)
  const api = await serveApi({ surface, host: HOST, port, token: TOKEN })
  opened.push(api)
  return { surface, api, address: { host: HOST, port: api.port } }
}

/** A server that is no agent of ours: it does what it is told with each request. */
async function stranger(answer: Parameters<typeof createServer>[1]) {
  const server: Server = createServer(answer as () => void)
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve))
  opened.push({
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  })
  return { host: HOST, port: (server.address() as { port: number }).port }
}

/** An address that no program listens on: it was free a moment ago. */
async function deadAddress() {
  const { api, address } = await agent('x')
  await api.close()
  return address
}

function clientOf(...addresses: { host: string; port: number }[]) {
  return connect({ addresses, token: TOKEN, timeoutMs: 300 })
}

describe('asking', () => {
  it('takes the first node that answers', async () => {
    const hung = await stranger(() => {})
    const foreign = await stranger((_, response) => response.end('<h1>It works!</h1>'))
    const { surface, address } = await agent('b')
    const client = clientOf(await deadAddress(), hung, foreign, address)
    expect(await client.status()).toEqual(surface.current)
    expect(await client.why('web')).toMatchObject({ service: 'web' })
    expect(await client.receipts()).toEqual(surface.changes)
    surface.happen('b-1')
    surface.happen('b-2')
    expect(await client.events({ last: 1 })).toEqual([surface.kept[1]])
  })

  it('goes on with the next node when the one it spoke to dies', async () => {
    const [first, second] = [await agent('a'), await agent('b')]
    const client = clientOf(first.address, second.address)
    expect((await client.status()).answeredBy).toBe('a')
    await first.api.close()
    expect((await client.status()).answeredBy).toBe('b')
  })

  it('asks the next node when the first one knows nothing yet', async () => {
    const [first, second] = [await agent('a'), await agent('b')]
    first.surface.ready = false
    expect((await clientOf(first.address, second.address).status()).answeredBy).toBe('b')
    await expect(clientOf(first.address).status()).rejects.toMatchObject({
      code: 'UND_NOT_RUNNING',
      message: expect.stringContaining('just been started'),
    })
  })

  it('does not take half an answer for one', async () => {
    const half = await stranger((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '999' })
      response.write('{"cluster":')
    })
    const { address } = await agent('b')
    expect((await clientOf(half, address).status()).answeredBy).toBe('b')
  })

  it('says which nodes were asked when none answers', async () => {
    const address = await deadAddress()
    await expect(clientOf(address).status()).rejects.toMatchObject({
      code: 'UND_NOT_RUNNING',
      message: expect.stringContaining(`no program listens at 127.0.0.1:${address.port}`),
    })
  })

  it('passes on refusals with their code, and asks no other node', async () => {
    const [first, second] = [await agent('a'), await agent('b')]
    const client = clientOf(first.address, second.address)
    await expect(client.why('wbe')).rejects.toMatchObject({ code: 'UND_UNKNOWN_SERVICE' })
    first.surface.refuseWith = new UnderstudyError('UND_REFUSED', 'b is unhealthy')
    await expect(client.switchover({ service: 'mailer', to: 'b' })).rejects.toMatchObject({
      code: 'UND_REFUSED',
      message: 'b is unhealthy',
    })
    expect(second.surface.asked).toEqual([])
    const stranger = connect({ addresses: [first.address], token: 'wrong' })
    await expect(stranger.status()).rejects.toMatchObject({ code: 'UND_UNAUTHORIZED' })
  })
})

describe('changing', () => {
  it('asks the next node when the request cannot have been received', async () => {
    const { surface, address } = await agent('b')
    const client = clientOf(await deadAddress(), address)
    await client.switchover({ service: 'mailer' })
    await client.drain('b')
    await client.undrain('b')
    await client.stopCluster()
    expect(surface.asked).toEqual(['switchover mailer to the best', 'drain b', 'undrain b', 'stop the cluster'])
  })

  it('never repeats a switchover that broke off: it may have happened', async () => {
    const cut = await stranger((request) => request.socket.destroy())
    const { surface, address } = await agent('b')
    const client = clientOf(cut, address)
    await expect(client.switchover({ service: 'mailer' })).rejects.toMatchObject({ code: 'UND_TIMED_OUT' })
    expect(surface.asked).toEqual([])
    await client.drain('b')
    expect(surface.asked).toEqual(['drain b'])
  })
})

describe('following', () => {
  it('goes on at another node when the one that told dies, without a gap or a repetition', async () => {
    const [first, second] = [await agent('a'), await agent('b')]
    const stop = new AbortController()
    const seen: string[] = []
    const following = clientOf(first.address, second.address).follow({ signal: stop.signal, last: 1 })
    const next = async () => seen.push(((await following.next()).value as EventRecord).id)

    for (const { surface } of [first, second]) for (const id of ['a-1', 'b-1', 'a-2']) surface.happen(id)
    await next()
    for (const { surface } of [second, first]) surface.happen('b-2')
    await next()
    await first.api.close()
    second.surface.happen('a-3')
    second.surface.happen('b-3')
    await next()
    await next()
    expect(seen).toEqual(['a-2', 'b-2', 'a-3', 'b-3'])
    stop.abort()
    expect((await following.next()).done).toBe(true)
  })

  it('tells that every node is away, and goes on when one is back', async () => {
    const { api, address, surface } = await agent('a')
    const away: Error[] = []
    const stop = new AbortController()
    const following = clientOf(address).follow({ signal: stop.signal, last: 9, onAway: (error) => away.push(error) })
    surface.happen('a-1')
    expect((await following.next()).value).toMatchObject({ id: 'a-1' })
    const next = following.next()
    await api.close()
    await expect.poll(() => away.length).toBeGreaterThan(0)
    const back = await agent('a', address.port)
    back.surface.happen('a-1')
    back.surface.happen('a-2')
    expect((await next).value).toMatchObject({ id: 'a-2' })
    stop.abort()
  })

  it('ends with an error when it will never be let in', async () => {
    const { address } = await agent('a')
    const following = connect({ addresses: [address], token: 'wrong' }).follow()
    await expect(following.next()).rejects.toMatchObject({ code: 'UND_UNAUTHORIZED' })
  })

  it('lets go of the agent when the reader stops reading', async () => {
    const { surface, address } = await agent('a')
    surface.happen('a-1')
    for await (const event of clientOf(address).follow({ last: 1 })) {
      expect(event.id).toBe('a-1')
      break
    }
    await expect.poll(() => surface.listeners).toBe(0)
  })
})

describe('EventStreamParser', () => {
  it('reads pieces of any size', () => {
    const text = 'id: a-1\n: following\n\n: alive\n\nid: a-2\nevent: event\ndata: {"x":\ndata: 1}\r\n\r\n'
    const expected = [
      { id: 'a-1', data: '' },
      { id: 'a-2', data: '{"x":\n1}' },
    ]
    for (const size of [1, 2, 7, text.length]) {
      const parser = new EventStreamParser()
      const pieces = text.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? []
      expect(pieces.flatMap((piece) => parser.push(piece))).toEqual(expected)
    }
  })
})
