import { afterEach, describe, expect, test } from 'vitest'
import { closeAll, freePort, openBalancer, rawClient, rawInstance, until } from '../../../test/support/door.ts'
import type { Route, Target } from '../../core/routing-table.ts'

afterEach(closeAll)

const TCP: Partial<Route> = { protocol: 'tcp', probe: { path: null, everyMs: 50, timeoutMs: 250 } }

function echo(id: string, term = 0): Promise<Target> {
  return rawInstance(id, (socket, bytes) => socket.write(`${id}:${bytes}`)).then((target) => ({ ...target, term }))
}

describe('tcp', () => {
  test('bytes both ways, and each way ends on its own', async () => {
    let all = ''
    const target = await rawInstance('one', (socket, bytes) => {
      all += bytes
      socket.allowHalfOpen = true
      socket.once('end', () => socket.end(`got ${all}`))
    })
    const { port } = await openBalancer([target], TCP)
    const client = await rawClient(port, 'hello')
    client.socket.end(' world')
    await until('the answer to the whole came', () => client.closed())
    expect(client.seen()).toBe('got hello world')
  })

  test('what was sent before an end arrives, also at a slow reader', async () => {
    const size = 12_000_000
    const target = await rawInstance('one', (socket) => {
      socket.write(Buffer.alloc(size, 'x'))
      socket.end()
    })
    const { port } = await openBalancer([target], TCP)
    const client = await rawClient(port, 'all of it')
    client.socket.end()
    let received = 0
    client.socket.on('data', (chunk) => {
      received += chunk.length
      // So slowly that every buffer on the way is full when the instance has closed already.
      client.socket.pause()
      setTimeout(() => client.socket.resume(), 2)
    })
    await until('all of it came', () => client.closed())
    expect(received).toBe(size)
  })

  test('no program listens at the first: the next one, without an error', async () => {
    const absent = { id: 'x', node: 'a', host: '127.0.0.1', port: await freePort(), state: 'serving', term: 0 } as const
    const { port } = await openBalancer([absent, await echo('one')], TCP)
    for (let turn = 0; turn < 5; turn++) {
      const client = await rawClient(port, 'hi')
      await until('it is answered', () => client.seen() === 'one:hi')
    }
  })

  test('held while there is no target; given up after holdMs', async () => {
    const { port, route } = await openBalancer([], { ...TCP, holdMs: 5_000 })
    const client = await rawClient(port, 'hi')
    const target = await echo('late')
    route([target], TCP)
    await until('it is answered', () => client.seen() === 'late:hi')
    route([], { ...TCP, holdMs: 50 })
    const second = await rawClient(port, 'hi')
    await until('it is given up', () => second.closed())
    expect(second.seen()).toBe('')
  })

  test('a dead target takes its connections with it, on both sides; a draining one keeps them', async () => {
    const [one, two] = [await echo('one'), await echo('two')]
    const { port, route } = await openBalancer([one], TCP)
    const client = await rawClient(port, 'a')
    await until('it is answered', () => client.seen() === 'one:a')
    route([{ ...one, state: 'draining' }, two], TCP)
    client.socket.write('b')
    await until('it is still answered', () => client.seen() === 'one:aone:b')
    route([{ ...one, state: 'dead' }, two], TCP)
    await until('it is cut', () => client.reset())
  })

  test('to the primary: a lower term is cut, and never used again', async () => {
    const [one, two] = [await echo('one', 1), await echo('two', 2)]
    const primary: Partial<Route> = { ...TCP, purpose: 'primary', holdMs: 100 }
    const { port, route } = await openBalancer([one], primary)
    const client = await rawClient(port, 'a')
    await until('it is answered', () => client.seen() === 'one:a')
    route([one, two], primary)
    await until('it is cut', () => client.reset())
    for (let turn = 0; turn < 5; turn++) {
      const next = await rawClient(port, 'b')
      await until('the new primary answers', () => next.seen() === 'two:b')
    }
    route([one], primary)
    const late = await rawClient(port, 'c')
    await until('it is given up rather than sent to the old primary', () => late.closed())
    expect(late.seen()).toBe('')
  })
})
