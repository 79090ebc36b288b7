/** An agent and a fence of two versions: what one says of itself is news to the other, or is left out, and never a fault. */
import { expect, test } from 'vitest'
import { parseReply, parseRequest } from './fence-protocol.ts'

const armed = { service: 'one', pid: 4_000, startTime: 7, killAtMono: 1_000 }
const later = { fromTheFuture: { x: [1] } }

test('requests with fields of a later version are what they were, and kinds of a later version are refused', () => {
  expect(parseRequest({ id: 1, ping: true, ...later })).toEqual({ id: 1, ping: true })
  expect(parseRequest({ id: 2, arm: { ...armed, ...later }, ...later })).toMatchObject({ id: 2, arm: armed })
  expect(parseRequest({ id: 3, disarm: { ...armed, ...later } })).toMatchObject({ id: 3, disarm: { pid: 4_000 } })
  expect(parseRequest({ id: 4, later: true })).toBeUndefined()
})

test('a fence says what it is; one of the version before does not, and is understood all the same', () => {
  const speaks = { version: '1.2.3', protocol: 1 }
  expect(parseReply({ id: 1, ok: true, armed: [armed], ...speaks, ...later })).toEqual({
    ...{ id: 1, ok: true, armed: [armed] },
    ...speaks,
  })
  expect(parseReply({ id: 1, ok: true, armed: [armed] })).toEqual({ id: 1, ok: true, armed: [armed] })
  expect(parseReply({ id: 1, ok: true, version: 7, protocol: '1' })).toEqual({ id: 1, ok: true })
  expect(parseReply({ later: { armed } })).toBeUndefined()
})
