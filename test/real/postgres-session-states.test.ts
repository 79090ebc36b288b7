/**
 * The promise of the PostgreSQL door: a session that goes on is the same session, and one of which that cannot be known is closed
 * with 57P01. One session for each kind of state, through a crash and through an orderly end of its server.
 *
 * Exercises: balancer, drivers/postgres. Engines: postgresql.
 */
import type pg from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import { everyPostgres } from './engines.ts'
import { ask, SCHEMA, SESSION_CASES, type SessionCase, take } from './session-cases.ts'
import { beginTrioDoor, clientOf, endTrioDoors, PRIMARY, type TrioWithDoor, targetOf } from './trio-door.ts'

afterEach(endTrioDoors)

interface Live {
  readonly case: SessionCase
  readonly client: pg.Client
  readonly before: string
  closedBy: string | undefined
}

async function begin(bin: string | null): Promise<TrioWithDoor> {
  const options = { settings: { shared_buffers: '32MB', max_connections: 200 } }
  const place = await beginTrioDoor({ bin, nodes: ['a'], options })
  await place.trio.rows('a', SCHEMA)
  return place
}

async function open(place: TrioWithDoor, one: SessionCase): Promise<Live> {
  const client = clientOf(place.door, one.options)
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

describe.each(everyPostgres)('PostgreSQL $name', ({ bin }) => {
  test.each(['crash', 'orderly end'])('every kind of session is the same, or closed, after a %s', async (how) => {
    const place = await begin(bin)
    const { trio, door } = place
    const lives: Live[] = []
    for (const one of SESSION_CASES) lives.push(await open(place, one))
    if (how === 'crash') {
      process.kill(trio.pidOf('a'), 'SIGKILL')
      await trio.until('the end is seen', () => trio.observe('a').state === 'stopped')
    } else {
      door.route([targetOf(trio, 'a', 1, { state: 'draining', leaves: true })], PRIMARY)
      const left = () => trio.rows('a', "select 1 from pg_stat_activity where usename in ('app', 'boss', 'rls')")
      await trio.until('all have left', async () => (await left()).length === 0)
      await trio.driver('a').stop({ settleMs: 0, graceMs: 10_000 })
    }
    await trio.driver('a').lead(trio.rule(1, 'a'))
    door.route([targetOf(trio, 'a', 1)], PRIMARY)
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
