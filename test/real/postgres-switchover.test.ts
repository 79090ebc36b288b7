/**
 * What a primary does with the sessions that it has when it ends on purpose: on both versions of PostgreSQL.
 *
 * Exercises: balancer, drivers/postgres. Engines: postgresql.
 */
import { connect } from 'node:net'
import pg from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import { startupPacket } from '../../src/balancer/postgres/startup-packet.ts'
import { POSTGRES_DEFAULTS } from '../../src/drivers/postgres/options.ts'
import { systemClock as clock } from '../../src/lib/clock.ts'
import { everyPostgres } from './engines.ts'
import { Trio } from './postgres-trio.ts'

let trio: Trio | undefined
const clients: pg.Client[] = []

afterEach(async () => {
  for (const client of clients.splice(0)) await client.end().catch(() => {}) // its server has ended
  await trio?.end()
  trio = undefined
})

/** Longer than anything here takes that ends by itself. */
const DRAIN_MS = 30_000

async function begin(bin: string | null, drainMs = DRAIN_MS): Promise<Trio> {
  trio = new Trio({ bin, options: { timing: { ...POSTGRES_DEFAULTS.timing, drainMs } } })
  await trio.begin()
  await trio.rows(
    'a',
    "create role visitor login password 'v'; create table visits (n int); grant all on visits to visitor",
  )
  return trio
}

async function visit(t: Trio): Promise<pg.Client> {
  const client = new pg.Client({ ...t.address('a'), user: 'visitor', password: 'v', database: 'postgres' })
  client.on('error', () => {}) // the call that waits for an answer rejects with it
  await client.connect()
  clients.push(client)
  return client
}

/**
 * Transactions that overlap, each begun before the one before it ends: what is open when a switchover begins is waited for before
 * anything else, so the last of these is open when the primary says that it stops. Resolves to its client.
 */
async function openWhenItStops(t: Trio): Promise<pg.Client> {
  let open: pg.Client | undefined
  await t.until('it says that it stops', async () => {
    const next = await visit(t)
    await next.query('begin; insert into visits values (1)')
    await open?.query('commit')
    await open?.end() // a fast machine would fill the server with them
    open = next
    return t.observe('a').state === 'stopping'
  })
  return open as pg.Client
}

const isShut = (t: Trio): Promise<boolean> =>
  visit(t).then(
    async (client) => {
      await client.end()
      return false
    },
    (error: { code?: string }) => {
      if (error.code === undefined) return false // the client's own limit, on a busy machine: it asks again
      expect(error.code).toBe('28000')
      return true
    },
  )

const took = async (work: Promise<unknown>): Promise<number> => {
  const beganAt = clock.mono()
  await work
  return clock.mono() - beganAt
}

describe.each(everyPostgres)('PostgreSQL $name', ({ bin }) => {
  test('a transaction that ends in time ends with its commit; then the primary ends, and its standbys have it', async () => {
    const t = await begin(bin)
    const states: string[] = []
    t.driver('a').onChange(() => states.push(t.observe('a').state))
    const demoted = t.driver('a').demote(2)
    demoted.catch(() => {}) // read below
    const client = await openWhenItStops(t)
    await t.until('no new client is admitted', () => isShut(t))
    expect(t.observe('a').state).toBe('stopping')
    await client.query('insert into visits values (2)')
    await client.query('commit')
    await demoted
    expect(t.observe('a')).toMatchObject({ state: 'stopped', failures: 0 })
    expect(states).not.toContain('starting')
    for (const node of ['b', 'c'])
      await t.until(
        `${node} has the last`,
        async () => (await t.rows(node, 'select n from visits where n = 2')).length === 1,
      )
  })

  test('a transaction that does not end calls it off: the primary goes on, admits clients, and nothing was pledged', async () => {
    const t = await begin(bin, 2_000)
    const client = await visit(t)
    await client.query('begin')
    await client.query('insert into visits values (1)')
    const note = t.observe('a').note
    const refusal: unknown = await t
      .driver('a')
      .demote(2)
      .catch((error: unknown) => error)
    expect(refusal).toMatchObject({ code: 'UND_TIMED_OUT' })
    const said =
      /^1 transaction is still open after ([\d.]+) s \(the oldest: process \d+ of visitor, open and idle for \d+\.\d s\)$/
    const { message } = refusal as Error
    expect(message).toMatch(said)
    expect(Number(said.exec(message)?.[1])).toBeGreaterThanOrEqual(2)
    expect(t.observe('a')).toMatchObject({
      role: 'primary',
      state: 'running',
      term: 1,
      note,
      replica: { pledged: 1, quorumDurable: true },
    })
    const another = await visit(t)
    await another.query('insert into visits values (2)')
    await client.query('commit')
    expect(await t.rows('a', 'select n from visits order by n')).toEqual([{ n: 1 }, { n: 2 }])
    await t.driver('a').demote(2)
    expect(t.observe('a').state).toBe('stopped')
  })

  test('sessions that are idle, and those that come past every balancer, hold nothing up', async () => {
    const t = await begin(bin)
    await visit(t)
    const busy = await visit(t)
    let stop = false
    let commits = 0
    const work = (async () => {
      for (; !stop; commits += 1) await busy.query('insert into visits values (1)')
    })()
    work.catch(() => {}) // its server ends under it
    await t.until('some', () => commits > 20)
    const ms = await took(t.driver('a').demote(2))
    stop = true
    console.log(`demoted under a busy session that no door holds: ${Math.round(ms)} ms`)
    expect(ms).toBeLessThan(DRAIN_MS)
    expect(t.observe('a').state).toBe('stopped')
  })

  test('a client that does not answer in the middle of its login holds nothing up', async () => {
    const t = await begin(bin, 2_000)
    const { host, port } = t.address('a')
    const socket = connect(port, host)
    socket.on('error', () => {}) // its server ends
    socket.write(startupPacket(new Map([['user', 'visitor']])))
    await new Promise((resolve) => socket.once('data', resolve)) // it is asked for a password
    await t.driver('a').demote(2)
    expect(t.observe('a').state).toBe('stopped')
    socket.destroy()
  })

  test('an agent that dies while it waits leaves a primary that the next one opens again', async () => {
    const t = await begin(bin)
    t.driver('a')
      .demote(2)
      .catch(() => {}) // its agent dies over it
    const client = await openWhenItStops(t)
    await t.until('no new client is admitted', () => isShut(t))
    await t.restartAgent('a')
    await t.until('it is open again', () => t.observe('a').replica.quorumDurable)
    await t.until('clients are admitted', () =>
      visit(t).then(
        () => true,
        () => false,
      ),
    )
    await client.query('commit')
    expect(t.observe('a')).toMatchObject({ role: 'primary', term: 1 })
  })
})
