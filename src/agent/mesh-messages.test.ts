/** What comes over the mesh from another version, or from a bug: ignored or refused, told once, and never the end of an agent. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { running } from '../../test/made-up.ts'
import { until } from '../../test/support/door.ts'
import { onFault } from '../lib/background.ts'
import type { Message } from './agent-ports.ts'
import { WebSocketMesh } from './mesh.ts'
import { decodeMessage } from './mesh-messages.ts'

const event = { id: 'b-1-1', at: 'now', node: 'b', service: null, rule: 'agent', kind: 'told', why: 'x' }
const report = {
  ...{ node: 'b', incarnation: 1, agentPid: 2, balancerPid: null, fencePid: 3, stopping: false },
  instances: [running('web')],
  ...{ version: '1.2.3', protocol: 1, balancerVersion: null, fenceVersion: '1.2.3' },
}
const GOOD: readonly object[] = [
  { kind: 'beat', suspects: ['c'], abstains: false },
  { kind: 'report', report },
  { kind: 'look' },
  { kind: 'event', event },
  { kind: 'history', events: [event], receipts: [] },
]

test.each(GOOD)('what an agent says is understood, with fields that this version does not know: %j', (message) => {
  expect(decodeMessage(JSON.stringify(message))).toEqual(message)
  expect(decodeMessage(JSON.stringify({ ...message, fromTheFuture: { x: [1] } }))).toMatchObject(message)
})

test('a kind that is not known is another version’s', () => {
  expect(decodeMessage('{"kind":"from-the-future"}')).toEqual({ undecoded: 'unknown', what: '“from-the-future”' })
  expect(decodeMessage('{"kind":"toString"}')).toMatchObject({ undecoded: 'unknown' })
})

test('each field that is missing or of another type is refused with its whole message', () => {
  const spoiled = GOOD.flatMap((message) => spoil(message).filter(({ kind }) => kind === (message as Message).kind))
  expect(spoiled.length).toBeGreaterThan(50)
  for (const text of ['', '{', 'null', '7', '[]', '{}', ...spoiled.map((message) => JSON.stringify(message))])
    expect(decodeMessage(text), text).toMatchObject({ undecoded: 'malformed' })
})

/** Every way to take one field away, or to put something else in its place, however deep. What may be absent is left out. */
function spoil(value: object): { kind?: unknown }[] {
  return Object.keys(value).flatMap((key) => {
    const inner = (value as Record<string, unknown>)[key]
    const without = Object.fromEntries(Object.entries(value).filter(([name]) => name !== key))
    const others = [without, { ...without, [key]: { no: 1 } }]
    if (OPTIONAL.has(key)) others.shift()
    if (inner === null || ['pid', 'startTime', 'port'].includes(key)) others.splice(0)
    const deeper = Array.isArray(inner)
      ? inner.flatMap((item) =>
          typeof item === 'object' ? spoil(item).map((one) => ({ ...value, [key]: [one] })) : [],
        )
      : typeof inner === 'object' && inner !== null
        ? spoil(inner).map((one) => ({ ...value, [key]: one }))
        : []
    return [...others, ...deeper]
  })
}

const OPTIONAL = new Set(['lastEnd', 'replica', 'openDoors', 'version', 'protocol', 'fenceVersion'])

test('an agent hears what it knows, tells once what it does not, and reports what its own handlers do wrong', async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const told: string[] = []
  const peers = [{ name: 'b', address: '127.0.0.1', zone: 'z', region: 'r' }]
  const mesh = new WebSocketMesh({ self: 'a', peers, port: 1, token: 't', tell: (why) => told.push(why) })
  mesh.answer(server)
  const heard: Message[] = []
  const faults: string[] = []
  onTestFinished(onFault((what, error) => faults.push(`${what}: ${error.message}`)))
  mesh.onMessage((_, message) => {
    if (message.kind === 'look') throw new Error('a bug of ours')
  })
  mesh.onMessage((_, message) => heard.push(message))
  const { port } = server.address() as AddressInfo
  const link = new WebSocket(`ws://127.0.0.1:${port}/v1/mesh`, {
    headers: { authorization: 'Bearer t', 'x-understudy-node': 'b' },
  })
  onTestFinished(() => {
    link.terminate()
    mesh.close()
    server.close()
  })
  await new Promise((resolve) => link.once('open', resolve))
  for (const text of [
    '{"kind":"from-the-future"}',
    '{"kind":"from-the-future"}',
    'not JSON',
    '{"kind":"report","report":{"node":"b"}}',
    '{"kind":"look"}',
    '{"kind":"beat","suspects":[],"abstains":false}',
  ])
    link.send(text)
  await until('the last one is heard', () => heard.some(({ kind }) => kind === 'beat'))
  expect(heard.map(({ kind }) => kind)).toEqual(['look', 'beat'])
  expect(faults).toEqual(['a message of b: a bug of ours'])
  expect(told).toEqual([
    'ignored a message of kind “from-the-future” from b: a newer version may know it',
    'refused a message of kind without a name from b: its content is not as it should be',
    'refused a message of kind “report” from b: its content is not as it should be',
  ])
})
