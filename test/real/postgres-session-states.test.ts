/**
 * The promise of the PostgreSQL door: a session that goes on is the same session, and one of which that cannot be known is closed
 * with 57P01. One session for each kind of state, through a crash and through an orderly end of its server.
 *
 * Exercises: balancer, drivers/postgres. Engines: postgresql.
 */
import type pg from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import { sleep, systemClock } from '../../src/lib/clock.ts'
import { seededRandom } from '../../src/lib/random.ts'
import { everyPostgres } from './engines.ts'
import { ask, SCHEMA, SESSION_CASES, type SessionCase, take } from './session-cases.ts'
import { beginTrioBalancer, clientOf, endTrioBalancers, PRIMARY, type TrioWithBalancer, targetOf } from './trio-door.ts'

afterEach(endTrioBalancers)

interface Live {
  readonly case: SessionCase
  readonly client: pg.Client
  readonly before: string
  closedBy: string | undefined
}

async function begin(bin: string | null): Promise<TrioWithBalancer> {
  const options = { settings: { shared_buffers: '32MB', max_connections: 200 } }
  const place = await beginTrioBalancer({ bin, nodes: ['a'], options })
  await place.trio.rows('a', SCHEMA)
  return place
}

async function open(place: TrioWithBalancer, one: SessionCase): Promise<Live> {
  const client = clientOf(place.balancer, one.options)
  await client.connect()
  await take(client, one.steps)
  const live: Live = { case: one, client, before: one.answer ?? (await ask(client, one.probe)), closedBy: undefined }
  client.on('error', (error: Error & { code?: string }) => {
    live.closedBy ??= error.code ?? error.message
  })
  return live
}

async function judge(live: Live): Promise<string | undefined> {
  const after = live.closedBy === undefined ? await ask(live.client, live.case.probe) : ''
  const closedBy = live.closedBy ?? (after.startsWith('error 57P01') ? '57P01' : undefined)
  if (closedBy !== undefined) {
    if (live.case.moves) return `${live.case.name}: closed (${closedBy}), and is an everyday session`
    return closedBy === '57P01' ? undefined : `${live.case.name}: closed by ${closedBy}`
  }
  return after === live.before ? undefined : `${live.case.name}: ${live.before} before, ${after} after`
}

const SEED = Number(process.env.UNDERSTUDY_SEED ?? Date.now() % 1_000_000)
/** In the suite a few; `npm run torture:sessions -- --faults 200` for more. */
const FAULTS = Number(process.env.UNDERSTUDY_FAULTS ?? 3)
const AT_ONCE = 30
/** Their steps cannot be taken twice in one database, or their answer depends on the speed of the machine. */
const ONCE = ['named statement of a table that is dropped', 'statement_timeout of 1 ms', 'setseed']

/** Ends the server, at once or in order, and starts it again. A session that has not left in order within two seconds is ended with it. */
async function end({ trio, balancer }: TrioWithBalancer, how: string): Promise<void> {
  if (how === 'a crash') {
    process.kill(trio.pidOf('a'), 'SIGKILL')
    await trio.until('the end is seen', () => trio.observe('a').state === 'stopped')
  } else {
    balancer.route([targetOf(trio, 'a', 1, { state: 'draining', leaves: true })], PRIMARY)
    const left = () => trio.rows('a', "select 1 from pg_stat_activity where usename in ('app', 'boss', 'rls')")
    await trio.until('all have left', async () => (await left()).length === 0, 2_000).catch(() => {})
    await trio.driver('a').stop({ settleMs: 0, graceMs: 10_000 })
  }
  await trio.driver('a').promoteReplica(trio.quorum(1, 'a'))
  balancer.route([targetOf(trio, 'a', 1)], PRIMARY)
}

/** 28000: no client was admitted for more than three seconds, and a login is refused then. */
const CLOSED = /^(57P01|57P03|08007|28000|Connection terminated.*)$/

/** Takes the steps of a case whenever the fault comes. Undefined: it is the same, or was closed. */
async function live(place: TrioWithBalancer, one: SessionCase, expected: string, over: Promise<void>) {
  const client = clientOf(place.balancer, one.options)
  let closedBy: string | undefined
  client.on('error', (error) => {
    closedBy ??= why(error)
  })
  const why = (error: unknown) => (error as { code?: string }).code ?? (error as Error).message
  try {
    await client.connect()
    await take(client, one.steps)
  } catch (error) {
    await over
    const end = closedBy ?? why(error)
    return CLOSED.test(end) ? undefined : `${one.name}: ${end} in its steps`
  }
  await over
  const after = closedBy === undefined ? await ask(client, one.probe) : `error ${closedBy}`
  await client.end().catch(() => {}) // it may be closed
  return after === expected || CLOSED.test(after.replace(/^error (Error: )?/, ''))
    ? undefined
    : `${one.name}: ${expected} before, ${after} after`
}

/** Writes one row after another. Returns those that were acknowledged, when `over` says so. */
async function write(place: TrioWithBalancer, isOver: () => boolean): Promise<number[]> {
  const acknowledged: number[] = []
  let client: pg.Client | undefined
  for (let id = 1; !isOver(); id++) {
    try {
      if (!client) {
        client = clientOf(place.balancer)
        await client.connect()
      }
      await client.query('insert into written values ($1)', [id])
      acknowledged.push(id)
    } catch {
      client = undefined // whether it was written is not known: only what was acknowledged counts
    }
  }
  return acknowledged
}

describe.each(everyPostgres)('random faults on PostgreSQL $name', ({ bin }) => {
  test(
    `${FAULTS} faults, seed ${SEED}: sessions are the same or closed, and no acknowledged row is lost`,
    async () => {
      const random = seededRandom(SEED)
      const place = await begin(bin)
      await place.trio.rows('a', 'create table written (id int); grant all on written to app')
      const cases = SESSION_CASES.filter(({ name }) => !ONCE.includes(name))
      const expected = new Map<string, string>()
      for (const one of cases) {
        const { client, before } = await open(place, one)
        expected.set(one.name, before)
        await client.end()
      }
      let isOver = false
      const writing = write(place, () => isOver)
      const faults: string[] = []
      for (let fault = 1; fault <= FAULTS; fault++) {
        const chosen = cases.toSorted(() => random() - 0.5).slice(0, AT_ONCE)
        const over = sleep(systemClock, random() * 800).then(() =>
          end(place, random() < 0.5 ? 'a crash' : 'an orderly end'),
        )
        const found = await Promise.all(chosen.map((one) => live(place, one, expected.get(one.name) ?? '', over)))
        faults.push(...found.filter((text) => text !== undefined).map((text) => `fault ${fault}: ${text}`))
      }
      isOver = true
      const acknowledged = await writing
      const there = new Set((await place.trio.rows('a', 'select id from written')).map(({ id }) => id))
      expect(acknowledged.filter((id) => !there.has(id))).toEqual([])
      expect(acknowledged.length).toBeGreaterThan(FAULTS)
      expect(faults).toEqual([])
    },
    120_000 + FAULTS * 20_000,
  )
})

describe.each(everyPostgres)('PostgreSQL $name', ({ bin }) => {
  test.each(['a crash', 'an orderly end'])('every kind of session is the same, or closed, after %s', async (how) => {
    const place = await begin(bin)
    const lives: Live[] = []
    for (const one of SESSION_CASES) lives.push(await open(place, one))
    await end(place, how)
    const faults = (await Promise.all(lives.map(judge))).filter((fault) => fault !== undefined)
    const moved = lives.filter(({ closedBy }) => closedBy === undefined).length
    console.log(`${how}: ${moved} of ${lives.length} sessions were moved`)
    console.log(
      lives
        .filter(({ closedBy }) => closedBy !== undefined)
        .map((live) => `${live.case.name} (${live.closedBy})`)
        .join('; '),
    )
    expect(faults).toEqual([])
  })
})
