/** A replica's slot on the primary is made by both of them, whenever one of them sees that it is missing. */
import { type AddressInfo, createServer, type Server } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { int32, message } from '../../../balancer/postgres/messages.ts'
import { systemClock } from '../../../lib/clock.ts'
import { POSTGRES_DEFAULTS } from '../options.ts'
import type { Replica } from '../replica.ts'
import { ensureSlots, releaseSlots } from './promote-server.ts'
import { renewSlot } from './remote-primary.ts'

let server: Server | undefined
afterEach(() => server?.close())

const READY = message('Z', 'I')

/** A primary that answers the making or dropping of a slot with this SQLSTATE. */
function primarySaying(code: string, to: string, heard: string[]): Promise<number> {
  server = createServer((socket) => {
    socket.on('error', () => {}) // it is cut on purpose
    socket.once('data', () => {
      socket.write(Buffer.concat([message('R', int32(0)), READY]))
      socket.on('data', (chunk: Buffer) => {
        if (chunk.toString('latin1', 0, 1) !== 'Q') return
        const text = chunk.toString('latin1', 5, chunk.length - 1)
        heard.push(text.split('(')[0] ?? '')
        const error = message('E', Buffer.from(`SERROR\0VERROR\0C${code}\0Mno\0\0`, 'latin1'))
        socket.write(Buffer.concat([text.includes(to) ? error : message('C', Buffer.from('SELECT 0\0')), READY]))
      })
    })
  })
  return new Promise((resolve) => {
    server?.listen(0, '127.0.0.1', () => resolve((server?.address() as AddressInfo | undefined)?.port ?? 0))
  })
}

async function renewed(code: string, to: string): Promise<string[]> {
  const heard: string[] = []
  const port = await primarySaying(code, to, heard)
  const parts = { clock: systemClock, options: POSTGRES_DEFAULTS, node: 'c', replicationPassword: 'x' }
  await renewSlot({ parts } as unknown as Replica, { node: 'b', host: '127.0.0.1', port })
  return heard
}

const BOTH = ['select pg_drop_replication_slot', 'select pg_create_physical_replication_slot']

test('a standby goes on when the primary made its slot in the same moment, or took away its old one', async () => {
  expect(await renewed('42710', 'pg_create')).toEqual(BOTH)
  expect(await renewed('42704', 'pg_drop')).toEqual(BOTH)
  expect(await renewed('55006', 'pg_drop')).toEqual(BOTH)
})

test('a standby does not go on without a slot', async () => {
  await expect(renewed('53400', 'pg_create')).rejects.toMatchObject({ code: '53400' })
})

test('the primary goes on when a standby made or took a slot in the same moment', async () => {
  const asked: unknown[] = []
  let code = '42710'
  const session = {
    async query(text: string, values: unknown[]) {
      if (!/pg_(create|drop)/.test(text)) return [{ name: 'understudy_b' }, { name: 'understudy_c' }]
      asked.push(values[0])
      throw Object.assign(new Error('no'), { code })
    },
  }
  const replica = { parts: { node: 'a' }, session } as unknown as Replica
  await ensureSlots(replica, ['b', 'c'])
  for (code of ['42704', '55006']) await releaseSlots(replica)
  expect(asked).toEqual(Array.from({ length: 3 }, () => ['understudy_b', 'understudy_c']).flat())
  code = '53400'
  await expect(ensureSlots(replica, ['b', 'c'])).rejects.toThrow('no')
})
