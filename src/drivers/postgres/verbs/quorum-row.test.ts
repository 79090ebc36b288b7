/** A row whose quorum does not come, against a server that is a fake: who asks it, how often, and until when. */
import type pg from 'pg'
import { expect, test } from 'vitest'
import type { QuorumConfig } from '../../../core/replicated/quorum-config.ts'
import { VirtualClock } from '../../../lib/virtual-clock.ts'
import type { Replica } from '../replica.ts'
import { QuorumRows } from './quorum-row.ts'

function quorumOf(standbys: readonly string[]): QuorumConfig {
  return { term: 1, primary: 'a', standbys, k: 1, id: 'one' }
}

function rowsOf(confirmed: (standbys: readonly string[]) => boolean) {
  const clock = new VirtualClock()
  const asked: string[] = []
  const open = new Set<object>()
  const connect = async () => {
    const stream = { destroy: () => open.delete(stream) }
    open.add(stream)
    const query = async (text: string, values?: readonly unknown[]) => {
      if (text.includes('pg_current_wal_flush_lsn')) return { rows: [{ it: '0/1' }] }
      if (!text.includes('count(distinct')) return { rows: [] }
      const standbys = (values?.[0] ?? []) as readonly string[]
      asked.push(standbys.join())
      return { rows: [{ it: confirmed(standbys) ? 1 : 0 }] }
    }
    return { query, connection: { stream } } as unknown as pg.Client
  }
  const replica = {
    parts: { clock },
    record: { lineage: [], leading: null },
    runs: true,
    durable: null as QuorumConfig | null,
    writesWait: false,
    reload: () => undefined,
  }
  const rows = new QuorumRows(replica as unknown as Replica, () => undefined, connect)
  return { clock, rows, replica, asked: () => asked.splice(0), open: () => open.size }
}

test('a row that another one takes the place of is not asked for any more', async () => {
  const { clock, rows, replica, asked, open } = rowsOf((standbys) => standbys.includes('c'))
  rows.begin(quorumOf(['b']))
  await clock.runUntil(clock.mono() + 1_000)
  expect(asked().length).toBeGreaterThan(10)
  rows.begin(quorumOf(['b', 'c']))
  await clock.runUntil(clock.mono() + 1_000)
  asked()
  expect(replica.durable).toEqual(quorumOf(['b', 'c']))
  await clock.runUntil(clock.mono() + 600_000)
  expect([asked(), open()]).toEqual([[], 0])
})

test('a row is not asked for any more when the server does not lead', async () => {
  const { clock, rows, asked, open } = rowsOf(() => false)
  rows.begin(quorumOf(['b']))
  await clock.runUntil(clock.mono() + 1_000)
  rows.stop()
  await clock.runUntil(clock.mono() + 1_000)
  asked()
  await clock.runUntil(clock.mono() + 600_000)
  expect([asked(), open()]).toEqual([[], 0])
})

test('a quorum that is there is seen at once, and one that is away for long is asked for ten times a second', async () => {
  let isThere = false
  const { clock, rows, replica, asked } = rowsOf(() => isThere)
  rows.begin(quorumOf(['b']))
  await clock.runUntil(clock.mono() + 10_000)
  asked()
  await clock.runUntil(clock.mono() + 10_000)
  expect(asked().length).toBeLessThanOrEqual(200) // two questions each time
  isThere = true
  await clock.runUntil(clock.mono() + 110)
  expect(replica.durable).toEqual(quorumOf(['b']))
})
