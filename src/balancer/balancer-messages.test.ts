import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { until } from '../../test/support/door.ts'
import { onFault } from '../lib/background.ts'
import { toLine } from '../lib/json-lines.ts'
import { decodeFromBalancer } from './balancer-messages.ts'
import { connectBalancer } from './control-protocol.ts'
import { ControlServer } from './control-server.ts'

const place = { service: 'web', host: '127.0.0.1', port: 80 }
const counts = { requests: 1, connections: 1, retried: 0, failed: 0, held: 0, open: 0, streams: 0, full: 0 }
const GOOD: readonly Record<string, unknown>[] = [
  { type: 'hello', pid: 1, version: 2 },
  { type: 'listening', ...place },
  { type: 'listen-failed', ...place, code: 'EACCES', message: 'no' },
  { type: 'verdict', service: 'web', targetId: 'x', verdict: 'dead', why: 'refused' },
  { type: 'counters', routes: [{ service: 'web', purpose: 'serving', ...counts }] },
  { type: 'sessions', service: 'db', term: 2, held: 1, moved: 1, cut: { 'in-transaction': 1 } },
  { type: 'full', service: 'web', targetId: 'x', isFull: true, of: '1 open requests' },
  { type: 'ahead', places: ['db@b'] },
  { type: 'still', places: ['db@a#7'] },
  { type: 'table-refused', why: 'x' },
]

test.each(GOOD)(
  'a balancer is understood, and refused as a whole when a field is missing or of another type: %j',
  (message) => {
    expect(decodeFromBalancer({ ...message, fromTheFuture: 1 })).toMatchObject(message)
    for (const field of Object.keys(message)) {
      expect(decodeFromBalancer({ ...message, [field]: undefined }), field).toHaveProperty('undecoded')
      expect(decodeFromBalancer({ ...message, [field]: { a: [] } }), field).toHaveProperty('undecoded')
    }
  },
)

test('a balancer of an earlier version does not say at which holds sessions are ready', () => {
  const still = { type: 'still', places: ['db@a#7'] }
  expect(decodeFromBalancer(still)).toEqual(still)
  expect(decodeFromBalancer({ ...still, ready: ['db@a#7'] })).toEqual({ ...still, ready: ['db@a#7'] })
  expect(decodeFromBalancer({ ...still, ready: [7] })).toHaveProperty('undecoded')
})

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'understudy-messages-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

test('an agent hears its balancer on after a message that it does not know, and after a bug in its own handler', async () => {
  const path = join(folder(), 's')
  let connections = 0
  const server = createServer((socket) => {
    connections += 1
    const lines = [{ type: 'from-the-future' }, { type: 'hello' }, GOOD[0], GOOD[7]]
    for (const line of lines) socket.write(toLine(line))
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  const [heard, told, faults]: string[][] = [[], [], []]
  onTestFinished(onFault((what, error) => faults?.push(`${what}: ${error.message}`)))
  const link = connectBalancer(path, {
    onMessage(message) {
      heard?.push(message.type)
      if (message.type === 'hello') throw new Error('a bug of ours')
    },
    onGone() {},
    onNotUnderstood: (why) => told?.push(why),
  })
  onTestFinished(() => {
    link.close()
    server.close()
  })
  await until('the last message is heard', () => heard?.includes('ahead') ?? false)
  expect(heard).toEqual(['hello', 'ahead'])
  expect(faults).toEqual(['a message of the balancer: a bug of ours'])
  expect(told).toHaveLength(2)
  expect(connections).toBe(1)
})

test('a balancer obeys an agent on after an order that it does not know, and after a bug in its own handler', async () => {
  const path = join(folder(), 's')
  const [orders, told, faults]: string[][] = [[], [], []]
  onTestFinished(onFault((what, error) => faults?.push(`${what}: ${error.message}`)))
  const server = await ControlServer.open(path, {
    onTable() {
      throw new Error('a bug of ours')
    },
    onSecrets: () => orders?.push('secrets'),
    onDrainAndExit: () => orders?.push('drain'),
    onConnected() {},
    onNotUnderstood: (why) => told?.push(why),
  })
  const agent: Socket = connect(path)
  let closed = false
  agent.once('close', () => {
    closed = true
  })
  onTestFinished(() => {
    agent.destroy()
    server.close()
  })
  for (const order of [{ type: 'new' }, { type: 'table', table: 1 }, 7, { type: 'secrets', secrets: [] }])
    agent.write(toLine(order))
  await until('the last order is obeyed', () => orders?.includes('secrets') ?? false)
  expect(faults).toEqual(['an order of the agent: a bug of ours'])
  expect(told).toHaveLength(2)
  expect(closed).toBe(false)
})
