/**
 * A full server is not a dead one: clients, and superusers among them, may take every connection that there is. The agent has its own
 * open already, so the server stays healthy, obeys, and can be promoted.
 *
 * Exercises: drivers/postgres. Engines: postgresql.
 */
import pg from 'pg'
import { afterEach, expect, test } from 'vitest'
import { Trio } from './postgres-trio.ts'

let trio: Trio | undefined
const flood: pg.Client[] = []

afterEach(async () => {
  await Promise.all(flood.splice(0).map((client) => client.end().catch(() => {}))) // its server may be gone
  await trio?.end()
  trio = undefined
})

/** As a superuser, until the server refuses. */
async function fill(t: Trio, node: string): Promise<void> {
  const first = await t.connect(node)
  const { host, port } = first
  for (;;) {
    const client = new pg.Client({ host, port, user: 'postgres', database: 'postgres' })
    client.on('error', () => {}) // its server may be ended
    try {
      await client.connect()
      flood.push(client)
    } catch (error) {
      expect((error as { code?: string }).code).toBe('53300')
      return
    }
  }
}

test('a server whose every connection is taken by superusers stays healthy, obeys, and is promoted', async () => {
  trio = new Trio()
  const t = trio
  await t.begin()
  for (const node of t.nodes) await t.until(`${node} to be healthy`, () => t.observe(node).health === 'healthy')
  for (const node of t.nodes) await fill(t, node)
  const sinceOf = () => t.nodes.map((node) => t.observe(node).healthForMs)
  await t.until('many looks at a full server', () => sinceOf().every((ms) => ms > 5_000))
  for (const node of t.nodes) expect(t.observe(node), node).toMatchObject({ health: 'healthy', state: 'running' })
  await t.driver('a').changeQuorum(t.quorum(1, 'a', { standbys: ['b'], id: 'smaller' }))
  await t.driver('a').kill()
  const { leader } = await t.failOver(2)
  await t.until('it to be healthy', () => t.observe(leader).health === 'healthy')
}, 240_000)
