import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { cancelPacket, isReplication, readFirstPacket, STARTUP_MAX_BYTES, startupPacket } from './startup-packet.ts'

const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])

describe('the first packet', () => {
  test('a startup message, and what comes behind it', () => {
    const parameters = new Map([
      ['user', 'app'],
      ['database', 'shop'],
      ['options', ''],
    ])
    const packet = startupPacket(parameters)
    expect(readFirstPacket(Buffer.concat([packet, Buffer.from('more')]))).toEqual({
      kind: 'startup',
      length: packet.length,
      minor: 0,
      parameters,
    })
    for (let length = 0; length < packet.length; length++) {
      expect(readFirstPacket(packet.subarray(0, length)).kind).toBe('incomplete')
    }
  })

  test('protocol 3.2 and options of the protocol are the server to negotiate', () => {
    const packet = startupPacket(new Map([['_pq_.something', 'on']]))
    packet[7] = 2
    expect(readFirstPacket(packet)).toMatchObject({ kind: 'startup', minor: 2 })
  })

  test('requests for encryption', () => {
    expect(readFirstPacket(SSL_REQUEST)).toEqual({ kind: 'ssl-request', length: 8 })
    expect(readFirstPacket(Buffer.from([0x16, 3, 1]))).toEqual({ kind: 'tls' })
  })

  test('a cancel request, with keys of 4 and of 32 bytes', () => {
    for (const length of [4, 32]) {
      const key = Buffer.alloc(length, 7)
      expect(readFirstPacket(cancelPacket(77, key, false))).toEqual({ kind: 'cancel', pid: 77, key, handedOn: false })
      expect(readFirstPacket(cancelPacket(77, key, true))).toMatchObject({ handedOn: true })
    }
  })

  test.each([
    ['too short', Buffer.from([0, 0, 0, 7, 0, 3, 0, 0])],
    ['too long', Buffer.from([0, 0, 0x27, 0x11, 0, 3, 0, 0])],
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n')],
    ['a name without a value', Buffer.from([0, 0, 0, 11, 0, 3, 0, 0, 0x61, 0, 0])],
    ['without an end', Buffer.from([0, 0, 0, 10, 0, 3, 0, 0, 0x61, 0x61])],
    ['a cancel request without a key', Buffer.from([0, 0, 0, 12, 4, 0xd2, 0x16, 0x2e, 0, 0, 0, 1])],
  ])('malformed: %s', (_what, bytes) => expect(readFirstPacket(bytes).kind).toBe('malformed'))

  test('whatever comes is read or refused, and no wait is endless', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const packet = readFirstPacket(Buffer.from(bytes))
        if (packet.kind === 'incomplete' && bytes.length >= 4) {
          expect(Buffer.from(bytes).readUInt32BE(0)).toBeLessThanOrEqual(STARTUP_MAX_BYTES)
        }
      }),
      { numRuns: 2_000 },
    )
  })
})

test('replication, as PostgreSQL reads it', () => {
  const asks = (value: string) => isReplication(new Map([['replication', value]]))
  expect(['true', 'on', 'database', '1', 'yes'].map(asks)).toEqual([true, true, true, true, true])
  expect(['false', 'off', 'no', '0'].map(asks)).toEqual([false, false, false, false])
  expect(isReplication(new Map())).toBe(false)
})
