/** What becomes of a session when its server, or the next one, dies at each moment of a move. The servers are fakes. */
import { afterEach, describe, expect, test } from 'vitest'
import { closeAll, openBalancer, rawClient, type TestBalancer, until } from '../../../test/support/door.ts'
import { fakePostgres, type Moment } from '../../../test/support/fake-postgres.ts'
import { int32, message, query } from './messages.ts'
import { startupPacket } from './startup-packet.ts'

afterEach(closeAll)

const ROUTE = {
  service: 'db',
  protocol: 'postgres',
  purpose: 'primary',
  holdMs: 20_000,
  probe: { path: null, everyMs: 60_000, timeoutMs: 1_000 },
} as const

/** A client that remembers each message as its letter, with the SQLSTATE of an error. */
async function clientOf(balancer: TestBalancer) {
  const client = await rawClient(balancer.port, startupPacket(new Map([['user', 'app']])))
  let read = 0
  /** What has come since the last call. */
  const news = (): string => {
    const bytes = Buffer.from(client.seen(), 'latin1')
    let letters = ''
    while (bytes.length - read >= 5) {
      const end = read + 1 + bytes.readInt32BE(read + 1)
      if (end > bytes.length) break
      const [letter, body] = [String.fromCharCode(bytes[read] ?? 0), bytes.toString('latin1', read + 5, end)]
      if (letter !== 'N') letters += letter === 'E' ? `E${/C(\w{5})/.exec(body)?.[1]}` : letter
      read = end
    }
    return letters
  }
  const answered = async (): Promise<string> => {
    let letters = ''
    await until('an answer', () => {
      letters += news()
      return letters.endsWith('Z') || client.closed()
    })
    return letters + news()
  }
  const ask = (text: string): Promise<string> => {
    client.socket.write(query(text))
    return answered()
  }
  expect(await answered()).toMatch(/^RS+KZ$/)
  return { ...client, ask, answered }
}

/** What a session has after the statements below. */
const STATE = [
  ['setting', 'work_mem', '7MB'],
  ['role', 'owner', 'app'],
  ['channel', 'news', ''],
]
const stateOf = (question: string) => (question.includes('what this session has') ? STATE : undefined)

/** The statements that make it so again. */
const HAS = ["SELECT pg_catalog.set_config('work_mem', '7MB', false)", 'SET ROLE "owner"', 'LISTEN "news"']

const QUESTION: readonly Moment[] = ['question-sent', 'question-parsed', 'question-row', 'question-answered']
const LOGIN: readonly Moment[] = ['login-sent', 'login-accepted', 'login-key', 'login-done']
const STATEMENT: readonly Moment[] = ['statement-sent', 'statement-answered', 'statement-done']

describe('the next server dies in the middle of a move', () => {
  const moments = [
    ...LOGIN.map((moment) => [moment, 1] as const),
    ...QUESTION.map((moment) => [moment, 1] as const),
    ...STATEMENT.flatMap((moment) => [1, 2, 3].map((nth) => [moment, nth] as const)),
  ]
  test.each(moments)('at %s, the %i. time: the session arrives whole at the one after it', async (moment, nth) => {
    const a = await fakePostgres({ rows: stateOf })
    const b = await fakePostgres({ rows: stateOf, dies: (now, times) => now === moment && times === nth })
    const c = await fakePostgres({ rows: stateOf })
    const balancer = await openBalancer([a.target('a', 1)], ROUTE)
    const client = await clientOf(balancer)
    expect(await client.ask("set work_mem = '7MB'")).toBe('CZ')
    expect(await client.ask('listen news')).toBe('CZ')
    expect(await client.ask('set role owner')).toBe('CZ')
    expect(await client.ask('select 0')).toBe('CZ')
    balancer.route([b.target('b', 2)], ROUTE)
    a.die()
    await until('b has died, or has the session', () => b.dead() || b.heard.length >= 3)
    balancer.route([c.target('c', 3)], ROUTE)
    b.die()
    expect(await client.ask('select 1')).toBe('CZ')
    expect(await client.ask('select 2')).toBe('CZ')
    expect(c.heard).toEqual([...HAS, 'select 1', 'select 2'])
  })
})

describe('the old server dies while it is asked what a session has', () => {
  test.each(QUESTION)('on leaving, at %s: a session whose state was known goes on', async (moment) => {
    let leaving = false
    const a = await fakePostgres({ rows: stateOf, dies: (now) => leaving && now === moment })
    const b = await fakePostgres({ rows: stateOf })
    const balancer = await openBalancer([a.target('a', 1)], ROUTE)
    const client = await clientOf(balancer)
    expect(await client.ask('set role owner')).toBe('CZ')
    expect(await client.ask('select 0')).toBe('CZ')
    leaving = true
    balancer.route([a.target('a', 1, { state: 'draining', leaves: true })], ROUTE)
    await until('a has died', a.dead)
    balancer.route([b.target('b', 2)], ROUTE)
    expect(await client.ask('select 1')).toBe('CZ')
    expect(await client.ask('select 2')).toBe('CZ')
    expect(b.heard).toEqual([...HAS, 'select 1', 'select 2'])
  })

  test.each(QUESTION)('after a statement, at %s: the state is not known, and it is closed', async (moment) => {
    let armed = false
    const a = await fakePostgres({ rows: stateOf, dies: (now) => armed && now === moment })
    const b = await fakePostgres({ rows: stateOf })
    const balancer = await openBalancer([a.target('a', 1), b.target('b', 1, { state: 'draining' })], ROUTE)
    const client = await clientOf(balancer)
    expect(await client.ask('select 0')).toBe('CZ')
    expect(await client.ask('select 0'), 'after the door has asked').toBe('CZ')
    armed = true
    expect(await client.ask('set role owner')).toMatch(/^CZ(E57P01)?$/)
    await until('the client hears of it', () => client.closed())
    expect(client.seen()).toContain('57P01')
    expect(b.heard).toEqual([])
  })
})

describe('the server dies in the middle of an exchange with the client', () => {
  test.each(STATEMENT)('of a statement, at %s', async (moment) => {
    const a = await fakePostgres({ dies: (now, _nth, text) => now === moment && text === 'select 1' })
    const b = await fakePostgres()
    const balancer = await openBalancer([a.target('a', 1)], ROUTE)
    const client = await clientOf(balancer)
    expect(await client.ask('select 0')).toBe('CZ')
    const answer = client.ask('select 1')
    await until('a has died', a.dead)
    balancer.route([b.target('b', 2)], ROUTE)
    if (moment !== 'statement-done') return expect(await answer).toMatch(/^C?E08007$/)
    expect(await answer).toBe('CZ')
    expect(await client.ask('select 2')).toBe('CZ')
    expect(b.heard).toEqual(['select 2'])
  })

  test.each(LOGIN.slice(0, 3))('of the login, at %s: it is told once, or begun anew', async (moment) => {
    const a = await fakePostgres({ dies: (now) => now === moment })
    const b = await fakePostgres()
    const balancer = await openBalancer([a.target('a', 1)], ROUTE)
    const client = await rawClient(balancer.port, startupPacket(new Map([['user', 'app']])))
    await until('a has died', a.dead)
    balancer.route([b.target('b', 2)], ROUTE)
    await until('it is in, or refused', () => client.closed() || client.seen().endsWith('Z\0\0\0\x05I'))
    expect(client.seen().split('R\0\0\0\x08'), 'it was let in once').toHaveLength(2)
    if (client.closed()) expect(client.seen()).toContain('57P03')
  })
})

test('a message that the server began and did not end is not followed by words of the balancer', async () => {
  const a = await fakePostgres()
  const balancer = await openBalancer([a.target('a', 1)], ROUTE)
  const client = await clientOf(balancer)
  expect(await client.ask('select 0')).toBe('CZ')
  expect(await client.ask('select 0'), 'after the door has asked').toBe('CZ')
  a.say(message('D', 'x'.repeat(100)).subarray(0, 50))
  await until('it has come', () => client.seen().endsWith('x'))
  a.die()
  await until('the end', () => client.closed() || client.reset())
  expect(client.seen()).not.toContain('terminating')
})

test('a client keeps the process number of its first server, also in its own notifications after a move', async () => {
  const a = await fakePostgres({ pid: 111 })
  const b = await fakePostgres({ pid: 222 })
  const balancer = await openBalancer([a.target('a', 1)], ROUTE)
  const client = await clientOf(balancer)
  expect(client.seen()).toContain(message('K', int32(111)).subarray(5).toString('latin1'))
  expect(await client.ask('select 0')).toBe('CZ')
  expect(await client.ask('select 0'), 'after the door has asked').toBe('CZ')
  balancer.route([b.target('b', 2)], ROUTE)
  a.die()
  expect(await client.ask('select 1')).toBe('CZ')
  const notified = (pid: number) => message('A', int32(pid), 'news\0hello\0').toString('latin1')
  for (const pid of [222, 333, 111]) b.say(Buffer.from(notified(pid), 'latin1'))
  await until('all have come', () => client.seen().split('news').length === 4)
  expect(client.seen()).toContain(`${notified(111)}${notified(333)}${notified(222)}`)
})

test('a moved session that asks for the value of a sequence that it drew elsewhere is closed', async () => {
  const a = await fakePostgres()
  const b = await fakePostgres()
  const balancer = await openBalancer([a.target('a', 1)], ROUTE)
  const client = await clientOf(balancer)
  expect(await client.ask("select nextval('s')")).toBe('CZ')
  expect(await client.ask('select 0'), 'after the door has asked').toBe('CZ')
  balancer.route([b.target('b', 2)], ROUTE)
  a.die()
  expect(await client.ask('select 1')).toBe('CZ')
  b.say(message('E', 'SERROR\0VERROR\0C55000\0Mlastval is not yet defined\0Rlastval\0\0'))
  await until('the end', () => client.closed())
  expect(client.seen()).toContain('57P01')
  expect(client.seen()).not.toContain('not yet defined')
})

test('a session that the server ends while it is asked hears it in the words of the server', async () => {
  let armed = false
  const farewell = message('E', 'SFATAL\0VFATAL\0C57P01\0Mby administrator command\0\0')
  const a = await fakePostgres({
    dies(moment) {
      if (armed && moment === 'question-sent') a.say(farewell)
      return armed && moment === 'question-sent'
    },
  })
  const balancer = await openBalancer([a.target('a', 1)], ROUTE)
  const client = await clientOf(balancer)
  expect(await client.ask('select 0')).toBe('CZ')
  expect(await client.ask('select 0'), 'after the door has asked').toBe('CZ')
  armed = true
  client.socket.write(query('set role owner'))
  await until('the end', () => client.closed())
  expect(client.seen()).toContain('by administrator command')
})

test('a client that leaves while its session asks about the database leaves the question to the others', async () => {
  const asked: string[] = []
  const a = await fakePostgres({
    delays: (question) => question.includes('what this database does') && asked.push(question) === 1,
  })
  const b = await fakePostgres()
  const balancer = await openBalancer([a.target('a', 1)], ROUTE)
  const first = await clientOf(balancer)
  expect(await first.ask('select 0')).toBe('CZ')
  await until('the first question', () => asked.length === 1)
  first.socket.destroy()
  const second = await clientOf(balancer)
  expect(await second.ask('select 1')).toBe('CZ')
  await until('the question of another session', () => asked.length === 2)
  balancer.route([a.target('a', 1, { state: 'draining', leaves: true })], ROUTE)
  await until('the session to leave', () => a.open() === 0)
  balancer.route([b.target('b', 2)], ROUTE)
  expect(await second.ask('select 2')).toBe('CZ')
  expect(b.heard).toContain('select 2')
})
