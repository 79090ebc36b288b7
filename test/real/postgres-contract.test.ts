/**
 * The driver of PostgreSQL keeps the contract of copies on real servers, of every version that is here. The simulator's model
 * keeps the same one (src/sim/database/database-driver.test.ts).
 *
 * Exercises: drivers/postgres. Engines: postgresql.
 */
import type pg from 'pg'
import { afterEach, describe, it } from 'vitest'
import { REPLICA_CONTRACT, type ReplicaWorld, type Write } from '../../src/drivers/contract/replica-contract.ts'
import { POSTGRES_DEFAULTS } from '../../src/drivers/postgres/options.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { everyPostgres } from './engines.ts'
import { Trio } from './postgres-trio.ts'

const WITHIN_MS = 30_000
/** Short, because some cases wait until a row is late. */
const options = { timing: { ...POSTGRES_DEFAULTS.timing, quorumRowMs: 2_500 } }

let trio: Trio | undefined

afterEach(async () => {
  await trio?.end()
  trio = undefined
})

async function opened(bin: string | null): Promise<ReplicaWorld> {
  const t = new Trio({ bin, options })
  trio = t
  for (const node of t.nodes) await t.driver(node).adopt()
  let writes = 0
  const connect = (node: string): Promise<pg.Client> => t.connect(node)
  return {
    driver: (node) => t.driver(node),
    address: (node) => t.address(node),
    newAgent: (node) => t.restartAgent(node),
    async write(node) {
      writes += 1
      const write: Write = { id: writes, acknowledged: false }
      const client = await connect(node)
      // Made without waiting for a quorum: whether there is one is what the write itself is to show.
      await client.query('set synchronous_commit = local')
      await client.query('set default_transaction_read_only = off') // a primary without its quorum asks otherwise
      await client.query('create table if not exists contract (id int primary key)')
      await client.query('reset synchronous_commit')
      client.query('insert into contract values ($1)', [write.id]).then(
        () => {
          write.acknowledged = true
        },
        () => {}, // its server ended: it was never acknowledged
      )
      return write
    },
    async holds(node, { id }) {
      const found = await t.rows(node, "select to_regclass('contract') is not null as it")
      if (found[0]?.it !== true) return false
      return (await t.rows(node, `select 1 from contract where id = ${id}`)).length > 0
    },
    async harm(node, how) {
      if (how === 'pause') await t.rows(node, 'select pg_wal_replay_pause()')
      else process.kill(t.pidOf(node), how === 'end' ? 'SIGKILL' : 'SIGSTOP')
    },
    async passUntil(done, withinMs = WITHIN_MS) {
      const end = systemClock.mono() + withinMs
      while (!done() && systemClock.mono() < end) await new Promise((resolve) => setTimeout(resolve, 5))
      return done()
    },
  }
}

describe.each(everyPostgres)('PostgreSQL $name keeps the contract of copies', ({ bin }) => {
  for (const { name, run } of REPLICA_CONTRACT) it(name, { timeout: 300_000 }, async () => run(await opened(bin)))
})
