/**
 * The front door of a PostgreSQL service, in front of real servers: what a client sees of it when nothing happens, and what
 * becomes of its session when its server is killed, leaves, or must not be used any more. The table is written by the test, so
 * that each case is the one that is meant; postgres-cluster.test.ts has the whole cluster.
 *
 * Exercises: balancer, drivers/postgres. Engines: postgresql.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { connect as connectSocket } from 'node:net'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import fc from 'fast-check'
import type pg from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import { startupPacket } from '../../src/balancer/postgres/startup-packet.ts'
import type { Route, Target } from '../../src/core/routing-table.ts'
import { openBalancer } from '../support/door.ts'
import { everyPostgres } from './engines.ts'
import {
  APP,
  beginTrioBalancer,
  clientOf,
  endTrioBalancers,
  PRIMARY,
  type TrioWithBalancer,
  targetOf,
} from './trio-door.ts'

afterEach(endTrioBalancers)

const begin = (bin: string | null, nodes: readonly string[] = ['a', 'b', 'c']) => beginTrioBalancer({ bin, nodes })

async function connect(place: TrioWithBalancer, change: pg.ClientConfig = {}): Promise<pg.Client> {
  const { client, connected } = connecting(place, change)
  await connected
  return client
}

/** A client that may be held before it is let in. */
function connecting(
  { balancer }: TrioWithBalancer,
  change: pg.ClientConfig = {},
): { client: pg.Client; connected: Promise<unknown> } {
  const client = clientOf(balancer, change)
  return { client, connected: client.connect() }
}

/** Kills the postmaster of a, lets another one lead in term 2, and tells the door. */
async function failOver({ trio: t, balancer }: TrioWithBalancer): Promise<void> {
  process.kill(t.pidOf('a'), 'SIGKILL')
  await t.until('the end is seen', () => t.observe('a').state === 'stopped')
  const { leader } = await t.failOver(2)
  balancer.route([targetOf(t, leader, 2)], PRIMARY)
}

/** Kills the postmaster of a lone server and starts it again, as an agent does when that is the quickest way back. */
async function restart({ trio: t, balancer }: TrioWithBalancer): Promise<void> {
  process.kill(t.pidOf('a'), 'SIGKILL')
  await t.until('the end is seen', () => t.observe('a').state === 'stopped')
  await t.driver('a').promoteReplica(t.quorum(1, 'a'))
  balancer.route([targetOf(t, 'a', 1)], PRIMARY)
}

/** All that a session can have and take with it. Returns a look at it, to be taken after its server has gone. */
async function furnish(client: pg.Client): Promise<() => Promise<void>> {
  const told: string[] = []
  client.on('notice', ({ message }) => told.push(message ?? ''))
  await client.query('create table kept (id int)')
  await client.query("set work_mem = '7MB'")
  await client.query("select set_config('app.tenant', $1, false)", ['t-7'])
  await client.query('prepare twice (int) as select $1 * 2 as n')
  await client.query('listen news')
  const named = { name: 'thrice', text: 'select $1::int * 3 as n' }
  expect((await client.query(named, [2])).rows).toEqual([{ n: 6 }])
  return async () => {
    await client.query('insert into kept values (1)')
    expect((await client.query('show work_mem')).rows).toEqual([{ work_mem: '7MB' }])
    expect((await client.query("select current_setting('app.tenant') as t")).rows).toEqual([{ t: 't-7' }])
    expect((await client.query('execute twice(4)')).rows).toEqual([{ n: 8 }])
    expect((await client.query(named, [3])).rows).toEqual([{ n: 9 }])
    const heard = new Promise((resolve) => client.once('notification', resolve))
    await client.query("notify news, 'fresh'")
    expect(await heard).toMatchObject({ channel: 'news', payload: 'fresh' })
    expect(told.filter((message) => !message.startsWith('held'))).toEqual([])
  }
}

describe.each(everyPostgres)('PostgreSQL $name', ({ bin }) => {
  test('the primary is killed, another replica is promoted: an idle session goes on with all that it had', async () => {
    const place = await begin(bin)
    const look = await furnish(await connect(place))
    await failOver(place)
    await look()
    await place.trio.until('it is told', () => place.balancer.sessions.length === 1)
    expect(place.balancer.sessions).toMatchObject([{ service: 'db', term: 2, held: 1, moved: 1, cut: {} }])
  })

  test('the server is killed and restarted: sessions that can go on do, the others are closed and told why', async () => {
    const place = await begin(bin, ['a'])
    const look = await furnish(await connect(place))
    const cuts = {
      'temporary-table': await doomed(place, ['create temp table t (id int)']),
      'holdable-cursor': await doomed(place, ['declare c cursor with hold for select 1']),
      'advisory-lock': await doomed(place, ['select pg_advisory_lock(7)']),
      'in-transaction': await doomed(place, ['begin', 'select 1']),
      'in-statement': await doomed(place, [], 'select pg_sleep(60)'),
    }
    const freed = await connect(place)
    for (const text of ['create temp table t (id int)', 'drop table t', 'select pg_advisory_lock(8)'])
      await freed.query(text)
    await freed.query('select pg_advisory_unlock(8)')
    await restart(place)
    await look()
    await freed.query('select 1')
    const said = await Promise.all(Object.values(cuts).map(({ ended }) => ended))
    expect(said.map(({ code }) => code)).toEqual(['57P01', '57P01', '57P01', '57P01', '08007'])
    expect(said.map(({ detail }) => detail)).toEqual([
      expect.stringContaining('temporary tables'),
      expect.stringContaining('WITH HOLD'),
      expect.stringContaining('advisory lock'),
      expect.stringContaining('rolled back'),
      expect.stringContaining('not known'),
    ])
    place.balancer.route([targetOf(place.trio, 'a', 2)], PRIMARY)
    await place.trio.until('it is told', () => place.balancer.sessions.length === 1)
    const cut = Object.fromEntries(Object.keys(cuts).map((reason) => [reason, 1]))
    expect(place.balancer.sessions).toMatchObject([{ term: 2, held: 2, moved: 2, cut }])
  })

  test('a primary that switches over: idle sessions leave it at once, a transaction ends first, nothing fails', async () => {
    const place = await begin(bin, ['a'])
    const look = await furnish(await connect(place))
    const busy = await connect(place)
    await busy.query('begin')
    await busy.query("select set_config('app.hidden', 'seen', false)")
    const hidden = await connect(place)
    // No text shows it: only the question that is asked before leaving can.
    await hidden.query(
      "create function quietly() returns void language sql as $$ select set_config('statement_timeout', '77s', false) $$",
    )
    await hidden.query('select quietly()')
    const bound = await doomed(place, ['create temp table t (id int)'])
    place.balancer.route([targetOf(place.trio, 'a', 1, { state: 'draining', leaves: true })], PRIMARY)
    const sessions = () => place.trio.rows('a', "select 1 from pg_stat_activity where usename = 'app'")
    await place.trio.until('only the transaction is left', async () => (await sessions()).length === 1)
    expect((await bound.ended).detail).toContain('temporary tables')
    await busy.query('create table written (id int)')
    const waiting = hidden.query('show statement_timeout')
    await busy.query('commit')
    await place.trio.until('no session is left', async () => (await sessions()).length === 0)
    await restart(place)
    expect((await waiting).rows).toEqual([{ statement_timeout: '77s' }])
    expect(
      (
        await busy.query(
          "select current_setting('app.hidden') as h from (select from written) w right join (select 1) o on true",
        )
      ).rows,
    ).toEqual([{ h: 'seen' }])
    await look()
  })

  test('trap 14: an old primary that heard of nothing goes on answering reads, and no balancer routes a client there', async () => {
    const place = await begin(bin)
    const { trio: t, balancer } = place
    const reader = await connect(place)
    await reader.query('create table seen (n int)')
    await reader.query('insert into seen values (1)')
    const past = await t.connect('a')
    const old = targetOf(t, 'a', 1)
    const { leader: next } = await t.failOver(2) // a is not asked
    balancer.route([old, targetOf(t, next, 2)], PRIMARY)
    await (await connect(place)).query('insert into seen values (2)')
    const count = 'select count(*)::int as n from seen'
    expect((await reader.query(count)).rows).toEqual([{ n: 2 }])
    // Past the doors there is the past: it can be read, and nothing of it can be changed.
    expect((await past.query(count)).rows).toEqual([{ n: 1 }])
    const write = past.query('insert into seen values (3)').then(
      () => 'acknowledged',
      () => 'its server was ended',
    )
    // A table that names the old one alone is an old table.
    balancer.route([old], PRIMARY)
    const held = connecting(place)
    const answer = held.connected.then(() => held.client.query(count))
    await t.until('the write waits for its quorum', async () => {
      const waits = "select 1 from pg_stat_activity where wait_event = 'SyncRep' and query like 'insert into seen%'"
      return (await t.rows('a', waits)).length === 1
    })
    balancer.route([targetOf(t, next, 2)], PRIMARY)
    expect((await answer).rows).toEqual([{ n: 2 }])
    await t.driver('a').kill()
    expect(await write).toBe('its server was ended')
  })

  test('sessions of an old term are closed at once, whatever is under way', async () => {
    const place = await begin(bin, ['a'])
    const ended = await doomed(place, [], 'select pg_sleep(60)')
    const idle = await connect(place)
    place.balancer.route([targetOf(place.trio, 'a', 1, { state: 'dead' })], PRIMARY)
    expect((await ended.ended).code).toBe('08007')
    place.balancer.route([targetOf(place.trio, 'a', 2)], PRIMARY)
    expect((await idle.query('select 1 as n')).rows).toEqual([{ n: 1 }])
  })

  test('a session that an operator ends, or that was idle for too long, is ended', async () => {
    const place = await begin(bin, ['a'])
    const ended = await doomed(place, ['select 1'])
    await place.trio.rows('a', "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'")
    expect(await ended.ended).toMatchObject({ code: '57P01', message: expect.stringContaining('administrator') })
    const version = await place.trio.rows('a', 'show server_version_num')
    if (Number(version[0]?.server_version_num) < 140_000) return
    const idle = await doomed(place, ["set idle_session_timeout = '100ms'"])
    expect(await idle.ended).toMatchObject({ code: '57P05' })
    expect(place.balancer.balancer.report()).toMatchObject([{ held: 0 }])
  })

  test("a client that is refused hears it in the server's own words", async () => {
    const place = await begin(bin, ['a'])
    await expect(connect(place, { password: 'wrong' })).rejects.toMatchObject({ code: '28P01' })
    await expect(connect(place, { user: 'nobody' })).rejects.toMatchObject({ code: '28P01' })
    await expect(connect(place, { database: 'nowhere' })).rejects.toMatchObject({ code: '3D000' })
    // Whether pg_hba.conf is closed for a moment, or this login is never let in, cannot be told at once.
    await expect(connect(place, { user: 'postgres' })).rejects.toMatchObject({ code: '28P01' })
  })

  test('a cancel request finds its session through the balancer of another node', async () => {
    const place = await begin(bin, ['a'])
    const peers = ['127.0.0.1', '127.0.0.2']
    const route = { ...PRIMARY, peers }
    place.balancer.route([targetOf(place.trio, 'a', 1)], route)
    const client = await connect(place)
    const sleeping = client.query('select pg_sleep(60)')
    const failed = sleeping.then(
      () => undefined,
      (error: { code?: string }) => error.code,
    )
    await place.trio.until('it sleeps', async () => {
      const rows = await place.trio.rows('a', "select 1 from pg_stat_activity where wait_event = 'PgSleep'")
      return rows.length === 1
    })
    const other = await openBalancer([targetOf(place.trio, 'a', 1)], {
      ...route,
      host: '127.0.0.2',
      port: place.balancer.port,
    })
    const { processID, secretKey } = client as unknown as { processID: number; secretKey: number }
    const ask = async (host: string, pid: number, key: number) => {
      const packet = Buffer.alloc(16)
      packet.writeInt32BE(16, 0)
      packet.writeInt32BE(80_877_102, 4)
      packet.writeInt32BE(pid, 8)
      packet.writeInt32BE(key, 12)
      const socket = connectSocket(place.balancer.port, host)
      socket.write(packet)
      await once(socket.resume(), 'close')
    }
    await ask('127.0.0.2', processID, secretKey ^ 1)
    await ask('127.0.0.2', processID + 1, secretKey)
    expect(await Promise.race([failed, 'still sleeping']), 'a wrong key does nothing').toBe('still sleeping')
    await ask('127.0.0.2', processID, secretKey)
    expect(await failed).toBe('57014')
    await place.trio.until('nothing is left open there', () => other.balancer.report()[0]?.open === 0)
  })

  test('COPY both ways, a pipeline, big rows and big statements pass as they are', async () => {
    const place = await begin(bin, ['a'])
    const client = await connect(place)
    const big = 'x'.repeat(3_000_000)
    expect((await client.query('select length($1::text) as n', [big])).rows).toEqual([{ n: big.length }])
    expect((await client.query(`select length('${big}') as n`)).rows).toEqual([{ n: big.length }])
    const { rows } = await client.query("select repeat('y', 100000) as t from generate_series(1, 50)")
    expect(rows.every(({ t }) => t.length === 100_000)).toBe(true)
    const many = await Promise.all(Array.from({ length: 200 }, (_, n) => client.query('select $1::int as n', [n])))
    expect(many.map(({ rows: [row] }) => row.n)).toEqual(Array.from({ length: 200 }, (_, n) => n))
  })

  test('reads go to the standbys; a session of one that leaves goes on at another', async () => {
    const place = await begin(bin, ['a'])
    const standby: Partial<Route> = { ...PRIMARY, purpose: 'standby' }
    const [one, two] = ['one', 'two'].map((id) => targetOf(place.trio, 'a', 1, { id })) as [Target, Target]
    place.balancer.route([one, two], standby)
    const all = await Promise.all(Array.from({ length: 4 }, () => connect(place)))
    const bound = await connect(place)
    await bound.query('create temp table t (id int)')
    const pids = () =>
      Promise.all(all.map(async (client) => (await client.query('select pg_backend_pid() as pid')).rows[0].pid))
    const before = await pids()
    place.balancer.route([{ ...one, state: 'draining' }, two], standby)
    await place.trio.until('some have moved, and all answer', async () => {
      const now = await pids()
      return now.some((pid, at) => pid !== before[at]) && now.some((pid, at) => pid === before[at])
    })
    place.balancer.route(
      [
        { ...one, state: 'draining' },
        { ...two, state: 'draining' },
      ],
      standby,
    )
    expect((await bound.query('select count(*)::int as n from t')).rows, 'what cannot be moved stays').toEqual([
      { n: 0 },
    ])
    expect(await pids(), 'and so does every session while there is no other place').toHaveLength(4)
  })

  test('while nothing can be written, the error says why', async () => {
    const place = await begin(bin, ['a'])
    const because = 'Two of three nodes are lost: reads go on.'
    place.balancer.route([targetOf(place.trio, 'a', 1)], { ...PRIMARY, readOnly: because })
    const client = await connect(place, { options: '-c default_transaction_read_only=on' })
    await expect(client.query('create table t (id int)')).rejects.toMatchObject({ code: '25006', hint: because })
    await expect(client.query('select nothing')).rejects.toMatchObject({ code: '42703' })
    expect((await client.query('select 1 as n')).rows).toEqual([{ n: 1 }])
  })

  test('a client that waits is told so once; after the hold it is disconnected', async () => {
    const place = await begin(bin, ['a'])
    const route = { ...PRIMARY, holdMs: 3_000 }
    const client = await connect(place)
    const told: string[] = []
    client.on('notice', ({ message }) => told.push(message ?? ''))
    place.balancer.route([], route)
    await expect(client.query('select 1')).rejects.toMatchObject({
      code: '57P01',
      detail: expect.stringContaining('held'),
    })
    expect(told).toEqual([expect.stringMatching(/^held: the server of db changes, since [234] s$/)])
    await expect(connect(place)).rejects.toMatchObject({ code: '57P03' })
  })

  test('whatever a client sends ends at most its own connection', async () => {
    const place = await begin(bin, ['a'])
    const good = await connect(place)
    const anyBytes = fc.oneof(
      fc.uint8Array({ maxLength: 400 }),
      fc
        .uint8Array({ maxLength: 200 })
        .map((bytes) => Buffer.concat([startupPacket(new Map([['user', 'app']])), bytes])),
      fc
        .uint8Array({ maxLength: 50 })
        .map((bytes) => Buffer.concat([Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]), bytes])),
    )
    const samples = fc.sample(anyBytes, { numRuns: 60, seed: 7 })
    for (const bytes of samples) {
      const socket = connectSocket(place.balancer.port, '127.0.0.1')
      socket.on('error', () => {}) // it may be cut at any byte
      socket.end(bytes)
      await once(socket.resume(), 'close')
    }
    expect((await good.query('select 1 as n')).rows).toEqual([{ n: 1 }])
    await place.trio.until('nothing of them is left', () => place.balancer.balancer.report()[0]?.open === 1)
  })

  test('TLS ends at the balancer, asked for or begun at once', async () => {
    const place = await begin(bin, ['a'])
    const tls = pairOfKeys(place.trio.root)
    if (!tls) return // openssl makes the certificate
    const secret = { ...place.trio.balancerLogin(), service: 'db', tls }
    const balancer = await openBalancer([targetOf(place.trio, 'a', 1)], PRIMARY, secret)
    const secure = { ...place, balancer }
    const client = await connect(secure, { ssl: { ca: tls.cert, servername: 'localhost' } })
    await client.query("set work_mem = '7MB'")
    const plain = await connect(secure)
    place.balancer.route([], PRIMARY)
    await restart(secure)
    expect((await client.query('show work_mem')).rows).toEqual([{ work_mem: '7MB' }])
    expect((await plain.query('select 1 as n')).rows).toEqual([{ n: 1 }])
    const direct = connectTls({
      port: balancer.port,
      host: '127.0.0.1',
      ca: tls.cert,
      servername: 'localhost',
      ALPNProtocols: ['postgresql'],
    })
    await once(direct, 'secureConnect')
    expect(direct.alpnProtocol).toBe('postgresql')
    direct.write(
      startupPacket(
        new Map([
          ['user', 'app'],
          ['database', 'postgres'],
        ]),
      ),
    )
    const [answer] = (await once(direct, 'data')) as [Buffer]
    expect(answer.toString('latin1')).toContain('SCRAM-SHA-256\0')
    expect(answer.toString('latin1')).not.toContain('PLUS')
    direct.destroy()
  })

  test.runIf(existsSync('/usr/bin/psql'))('psql and pgbench', async () => {
    const place = await begin(bin, ['a'])
    const copied = await run(place, 'psql', ['-Xqc', 'copy (select generate_series(1, 3)) to stdout'])
    expect(copied).toMatchObject({ status: 0, out: '1\n2\n3\n' })
    const put = 'create table put (id int); copy put from stdin;\n1\n2\n\\.\nselect count(*) from put;'
    expect(await run(place, 'psql', ['-XqAt'], put)).toMatchObject({ status: 0, out: '2\n' })
    const asked = ['-c', 'select current_setting($$server_version_num$$)::int > 0', '-c', 'show client_encoding']
    expect(await run(place, 'psql', ['-XqAt', ...asked])).toMatchObject({ status: 0, out: 't\nUTF8\n' })
    expect(await run(place, 'pgbench', ['-i', '-q', '-s', '1'])).toMatchObject({ status: 0 })
    for (const mode of ['simple', 'extended', 'prepared']) {
      const done = await run(place, 'pgbench', ['-n', '-S', '-M', mode, '-c', '4', '-t', '200'])
      expect(done.out).toContain('number of transactions actually processed: 800/800')
    }
  })
})

/** A session that does these things and will be cut: `ended` resolves to what it was told. */
async function doomed(
  place: TrioWithBalancer,
  texts: readonly string[],
  unanswered?: string,
): Promise<{ ended: Promise<Told> }> {
  const client = await connect(place)
  const ended = new Promise<Told>((resolve) => client.once('error', resolve)) // it may be cut while this is being said
  for (const text of texts) await client.query(text)
  if (unanswered === undefined) return { ended }
  const failed = client.query(unanswered)
  failed.catch(() => {}) // looked at below
  const rows = () => place.trio.rows('a', `select 1 from pg_stat_activity where query = '${unanswered}'`)
  await place.trio.until('it is under way', async () => (await rows()).length > 0)
  return {
    ended: failed.then(
      () => ({}),
      (error: Told) => error,
    ),
  }
}

interface Told {
  readonly message?: string
  readonly code?: string
  readonly detail?: string
}

async function run(
  { balancer }: TrioWithBalancer,
  program: string,
  args: readonly string[],
  input = '',
): Promise<{ status: number | null; out: string; complaints: string }> {
  const child = spawn(program, ['-h', '127.0.0.1', '-p', String(balancer.port), '-U', APP.user, ...args], {
    env: { ...process.env, PGPASSWORD: APP.password, PGDATABASE: APP.database },
  })
  let [out, complaints] = ['', '']
  child.stdout.on('data', (chunk) => {
    out += chunk
  })
  child.stderr.on('data', (chunk) => {
    complaints += chunk
  })
  child.stdin.end(input)
  const [status] = await once(child, 'close')
  return { status, out, complaints }
}

/** A certificate for localhost that lasts a day; undefined when no program here can make one. */
function pairOfKeys(folder: string): { cert: string; key: string } | undefined {
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const made = spawnSync('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'],
    ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert],
  ])
  return made.status === 0 ? { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') } : undefined
}
