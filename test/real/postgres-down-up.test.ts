/**
 * A whole cluster with a database is stopped in order and started again: the data is there, terms do not go back, and neither the first
 * start nor the end tells of a failure that was none.
 *
 * Exercises: api, balancer, client, drivers/postgres, local, stores. Engines: postgresql.
 */
import { expect, test } from 'vitest'
import { postgres } from '../../src/config/define.ts'
import { systemClock as clock } from '../../src/lib/clock.ts'
import { startLocal } from '../../src/local/start-cluster.ts'
import { serviceOf, startCluster } from './cluster.ts'
import { anyPostgres } from './engines.ts'
import { BalancerWriter } from './postgres-writer.ts'

test('down and up: every acknowledged row is there, in the same term or a later one', async () => {
  const cluster = await startCluster(() => ({
    db: postgres({
      ...anyPostgres,
      instances: 3,
      listen: 5432,
      listenStandby: 5433,
      database: { name: 'shop', owner: 'shop', password: 'first' },
      settings: { shared_buffers: '16MB', max_connections: 40 },
    }),
  }))
  const writers: BalancerWriter[] = []
  const failures = new Set<string>()
  const whole = (status: Awaited<ReturnType<typeof cluster.status>>) => {
    for (const one of serviceOf(status, 'db').instances) if (one.failures > 0) failures.add(`${one.node}: ${one.note}`)
    const well = serviceOf(status, 'db').instances.filter(({ healthy }) => healthy)
    return well.length === 3 && well.some(({ role }) => role === 'primary')
  }
  try {
    await cluster.until('a whole database', whole, 90_000)
    expect([...failures]).toEqual([])
    const alarms = (await cluster.local.client.events()).filter(
      ({ kind, rule }) => kind === 'failed' || rule === 'standby-lost' || rule === 'standby-down',
    )
    expect(alarms.map(({ node, rule, why }) => `${node} ${rule} ${why}`)).toEqual([])
    const account = { user: 'shop', password: 'first', database: 'shop' }
    const host = cluster.spec.nodes[0]?.address ?? ''
    const writer = new BalancerWriter({ host, port: 5432, ...account })
    writers.push(writer)
    await writer.begin()
    await writer.untilAcknowledged(100)
    const { term } = await cluster.service('db')
    await writer.stop()
    expect(await cluster.local.stop()).toMatchObject({ told: true, killed: [] })
    const from = clock.mono()
    const again = await startLocal({ spec: cluster.spec, stateDir: cluster.stateDir, version: 'test' })
    try {
      await cluster.until('a whole database again', whole, 90_000)
      console.log(`whole ${Math.round(clock.mono() - from)} ms after up`)
      expect((await cluster.service('db')).term).toBeGreaterThanOrEqual(term)
      expect(await writer.lost()).toEqual([])
    } finally {
      await again.kill()
    }
  } finally {
    for (const writer of writers) await writer.stop()
    await cluster.stop()
  }
}, 300_000)
