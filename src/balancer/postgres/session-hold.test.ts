/** What becomes of sessions while nothing may begin at their server, and when that ends. The server is a fake. */
import { afterEach, describe, expect, test } from 'vitest'
import { closeAll, openBalancer, rawClient, type TestBalancer, until } from '../../../test/support/door.ts'
import { type FakePostgres, fakePostgres } from '../../../test/support/fake-postgres.ts'
import { message, query, SYNC } from './messages.ts'
import { startupPacket } from './startup-packet.ts'

afterEach(closeAll)

const ROUTE = {
  service: 'db',
  protocol: 'postgres',
  purpose: 'primary',
  holdMs: 20_000,
  probe: { path: null, everyMs: 60_000, timeoutMs: 1_000 },
} as const

/** As the balancer names a hold of that number. */
const STILL = ['db@a#7']

interface Place {
  readonly a: FakePostgres
  readonly b: FakePostgres
  readonly balancer: TestBalancer
  /** Nothing may begin at a. */
  hold(number?: number): void
  /** It leads on. */
  release(): void
  /** Sessions leave it. */
  leave(): void
}

/** `rows`: what a session has, at either server. */
async function begin(rows?: (question: string) => (string | null)[][] | undefined): Promise<Place> {
  const options = rows ? { rows } : {}
  const [a, b] = [await fakePostgres(options), await fakePostgres(options)]
  const balancer = await openBalancer([a.target('a', 1)], ROUTE)
  const draining = { state: 'draining' } as const
  return {
    a,
    b,
    balancer,
    hold: (holds = 7) => balancer.route([a.target('a', 1, { ...draining, holds })], ROUTE),
    release: () => balancer.route([a.target('a', 1)], ROUTE),
    leave: () => balancer.route([a.target('a', 1, { ...draining, holds: 7, leaves: true })], ROUTE),
  }
}

async function enter({ balancer }: Place) {
  const client = await rawClient(balancer.port, startupPacket(new Map([['user', 'app']])))
  /** ReadyForQuery, with the state of the transaction. */
  const answers = () =>
    client
      .seen()
      .split('Z\0\0\0\x05')
      .slice(1)
      .map((rest) => rest.slice(0, 1))
      .join('')
  await until('it is in', () => answers() === 'I')
  const say = (...messages: Buffer[]) => void client.socket.write(Buffer.concat(messages))
  const answered = (count: number) => until(`${count} answers`, () => answers().length >= count)
  const ask = async (text: string): Promise<void> => {
    const before = answers().length
    say(query(text))
    await answered(before + 1)
  }
  return { ...client, say, answers, answered, ask }
}

/** After so long with an open road, what was sent would have arrived. Only for what must not happen. */
const aMoment = () => new Promise((resolve) => setTimeout(resolve, 60))

const isStill = ({ balancer }: Place) => balancer.still().join() === STILL.join()
const isReady = ({ balancer }: Place) => balancer.ready().join() === STILL.join()

/** As a server says it to each session when it is shut down. */
const FAREWELL = message('E', 'SFATAL\0C57P01\0Mterminating connection due to administrator command\0\0')

test('a client between two transactions is held, and goes on in the same session when the hold ends', async () => {
  const place = await begin()
  const client = await enter(place)
  await client.ask('select 1')
  place.hold()
  await until('nothing is open', () => isStill(place))
  await aMoment() // it is asked what it has
  client.say(query('select 2'))
  await aMoment()
  expect(place.a.heard).toEqual(['select 1'])
  place.release()
  await client.answered(3)
  expect(place.a.heard).toEqual(['select 1', 'select 2'])
  expect(place.a.logins()).toBe(1)
  expect(place.balancer.still()).toEqual([])
})

test('a session with a temporary table is held and released like any other, and closed only when sessions leave', async () => {
  const place = await begin((question) => {
    return question.includes('what this session has') ? [['temporary-table', '', '']] : undefined
  })
  const client = await enter(place)
  await client.ask('create temp table t (n int)')
  for (const round of [1, 2]) {
    place.hold(7)
    await until('nothing is open', () => isStill(place))
    client.say(query(`select ${round}`))
    place.release()
    await client.answered(2 + round)
  }
  expect(client.closed()).toBe(false)
  expect(place.a.logins()).toBe(1)
  place.hold()
  await until('nothing is open', () => isStill(place))
  place.leave()
  await until('it is closed', () => client.closed())
  expect(client.seen()).toContain('57P01')
})

test('a client within a transaction goes on during the hold, and is held at its end', async () => {
  const place = await begin()
  const [inside, outside] = [await enter(place), await enter(place)]
  await inside.ask('begin')
  place.hold()
  outside.say(query('select outside'))
  await inside.ask('insert')
  await inside.ask('update')
  expect(isStill(place)).toBe(false)
  await inside.ask('commit')
  await until('nothing is open', () => isStill(place))
  inside.say(query('begin'))
  await aMoment()
  expect(place.a.heard).toEqual(['begin', 'insert', 'update', 'commit'])
  place.release()
  await inside.answered(6)
  await outside.answered(2)
  expect(place.a.heard.toSorted()).toEqual(['begin', 'begin', 'commit', 'insert', 'select outside', 'update'])
})

test('a session whose client is held moves when sessions leave, and its statement is executed once', async () => {
  const place = await begin()
  const client = await enter(place)
  await client.ask('select 1')
  place.hold()
  await until('nothing is open', () => isStill(place))
  client.say(query('select 2'))
  await aMoment()
  place.leave()
  await until('it has left', () => place.a.open() === 0)
  place.balancer.route([place.b.target('b', 2)], ROUTE)
  await client.answered(3)
  expect([place.a.heard, place.b.heard]).toEqual([['select 1'], ['select 2']])
})

test('the server dies during the hold: the client goes on at the next one, as it would have without it', async () => {
  const place = await begin()
  const client = await enter(place)
  await client.ask('select 0')
  await client.ask('select 1') // after the balancer has asked
  place.hold()
  await until('nothing is open', () => isStill(place))
  client.say(query('select 2'))
  place.a.die()
  place.balancer.route([place.b.target('b', 2)], ROUTE)
  await client.answered(4)
  expect([place.a.heard, place.b.heard]).toEqual([['select 0', 'select 1'], ['select 2']])
})

describe('when no session needs anything more from the server that holds', () => {
  test('each has been asked about its state, and one of them about the database', async () => {
    const asked: string[] = []
    const place = await begin((question) => {
      asked.push(question.includes('what this session has') ? 'session' : 'database')
      return undefined
    })
    const clients = [await enter(place), await enter(place), await enter(place)]
    for (const client of clients) await client.ask('select 1')
    await until('the database has been read', () => asked.includes('database'))
    for (let nth = 0; nth < 3; nth += 1) await aMoment() // sessions are asked because of that
    for (const client of clients) await client.ask('select 2')
    await clients[0]?.ask('begin')
    asked.length = 0
    place.hold()
    await until('the others have been asked', () => asked.length >= 2)
    await aMoment()
    expect(asked).toEqual(['session', 'session'])
    expect([place.balancer.still(), place.balancer.ready()]).toEqual([[], []])
    await clients[0]?.ask('commit')
    await until('all are ready', () => isReady(place))
    expect(asked.toSorted()).toEqual(['database', 'session', 'session', 'session'])
  })

  test('its end moves all that can move, without a word of the agent', async () => {
    const place = await begin()
    const [one, other] = [await enter(place), await enter(place)]
    await one.ask('select 1')
    place.hold()
    await until('all are ready', () => isReady(place))
    one.say(query('select 2'))
    place.a.say(FAREWELL)
    place.a.die()
    place.balancer.route([place.b.target('b', 2)], ROUTE)
    await one.answered(3)
    other.say(query('select 3'))
    await other.answered(2)
    expect([place.a.heard, place.b.heard.toSorted()]).toEqual([['select 1'], ['select 2', 'select 3']])
  })

  test('its end closes what cannot move, and its client is told why', async () => {
    const place = await begin((question) => {
      return question.includes('what this session has') ? [['temporary-table', '', '']] : undefined
    })
    const client = await enter(place)
    await client.ask('create temp table t (n int)')
    place.hold()
    await until('all are ready', () => isReady(place))
    place.a.say(FAREWELL)
    place.a.die()
    await until('it is closed', () => client.closed())
    expect(client.seen()).toContain('57P01')
    expect(client.seen()).not.toContain('administrator command')
  })

  test('that is true of each hold anew, and not when it has ended', async () => {
    const place = await begin()
    const client = await enter(place)
    place.hold()
    await until('all are ready', () => isReady(place))
    place.release()
    await until('it has ended', () => place.balancer.ready().length === 0)
    await client.ask('begin')
    place.hold(8)
    await aMoment()
    expect(place.balancer.ready()).toEqual([])
    await client.ask('commit')
    await until('all are ready', () => place.balancer.ready().join() === 'db@a#8')
  })
})

describe('a statement that is under way when the hold begins', () => {
  test('ends, and its session is held then', async () => {
    const place = await begin()
    const client = await enter(place)
    client.say(query('slow'))
    await until('it has come', () => place.a.heard.length === 1)
    place.hold()
    await aMoment()
    expect(place.balancer.still()).toEqual([])
    place.a.answer()
    await until('nothing is open', () => isStill(place))
  })

  test('is followed by others only when it has begun a transaction: a client that sends ahead comes to rest', async () => {
    const place = await begin()
    const client = await enter(place)
    client.say(query('slow'))
    await until('it has come', () => place.a.heard.length === 1)
    place.hold()
    client.say(query('select 2'))
    await aMoment()
    place.a.answer()
    await until('nothing is open', () => isStill(place))
    expect(place.a.heard).toEqual(['slow'])
    place.release()
    await client.answered(3)
    await enterSlowly(place, client)
  })

  /** The same client begins a transaction by a slow statement, and sends ahead. */
  async function enterSlowly(place: Place, client: Awaited<ReturnType<typeof enter>>): Promise<void> {
    client.say(query('begin /* slow */'))
    await until('it has come', () => place.a.heard.length === 3)
    place.hold()
    client.say(query('insert'))
    await aMoment()
    place.a.answer()
    await client.answered(5)
    expect(place.a.heard.slice(2)).toEqual(['begin /* slow */', 'insert'])
    await client.ask('commit')
    await until('nothing is open', () => isStill(place))
  }

  test.each(['copy t from stdin', 'copy t from stdin /* slow */'])(
    'takes the data that it asked for: %s',
    async (text) => {
      const place = await begin()
      const client = await enter(place)
      await client.ask('select 1')
      client.say(query(text))
      await until('it has come', () => place.a.heard.length === 2)
      place.hold()
      client.say(message('d', '1\n'), message('c')) // sent ahead when the server is slow to ask for it
      await aMoment()
      place.a.answer()
      await client.answered(3)
      await until('nothing is open', () => isStill(place))
    },
  )

  test('has its other half sent on', async () => {
    const place = await begin()
    const client = await enter(place)
    const long = query(`select '${'x'.repeat(200_000)}'`)
    client.say(long.subarray(0, 100_000))
    await until('a part of it is at the server', () => place.balancer.still().length === 0)
    await aMoment()
    place.hold()
    await aMoment()
    expect(place.balancer.still()).toEqual([])
    client.say(long.subarray(100_000))
    await client.answered(2)
    await until('nothing is open', () => isStill(place))
  })

  test('by the extended protocol gets the rest of its messages', async () => {
    const place = await begin()
    const client = await enter(place)
    client.say(message('P', 's\0select 1\0\0\0'))
    await until('it has come', () => place.a.heard.length === 1)
    place.hold()
    await aMoment()
    expect(place.balancer.still()).toEqual([])
    client.say(SYNC)
    await client.answered(2)
    await until('nothing is open', () => isStill(place))
  })
})

test('each hold is answered anew: what was said of an earlier one does not hold for the next', async () => {
  const place = await begin()
  const client = await enter(place)
  await client.ask('select 1')
  place.hold(7)
  await until('nothing is open', () => isStill(place))
  place.release()
  await client.ask('begin')
  place.hold(8)
  await aMoment()
  expect(place.balancer.still()).toEqual([])
  await client.ask('commit')
  await until('nothing is open', () => place.balancer.still().join() === 'db@a#8')
})

test('a client that leaves with a transaction open does not keep the hold from succeeding', async () => {
  const place = await begin()
  const [one, other] = [await enter(place), await enter(place)]
  await one.ask('begin')
  await other.ask('select 1')
  place.hold()
  await aMoment()
  expect(place.balancer.still()).toEqual([])
  one.socket.destroy()
  await until('nothing is open', () => isStill(place))
})

test('a login that comes during the hold is held, and let in when it ends', async () => {
  const place = await begin()
  await enter(place)
  place.hold()
  const late = enter(place)
  await aMoment()
  expect(place.a.logins()).toBe(1)
  expect(isStill(place)).toBe(true)
  place.release()
  await late
  expect(place.a.logins()).toBe(2)
})

test('a hold whose primary is never heard of again ends by itself', async () => {
  const place = await begin()
  const client = await enter(place)
  place.hold()
  await until('nothing is open', () => isStill(place))
  client.say(query('select 1'))
  await until('it is released', () => place.a.heard.length === 1, 20_000)
  expect(place.balancer.still()).toEqual([])
}, 30_000)
