/**
 * The login of the front doors: what it may do, what it may not, and that it is there whatever made the primary.
 *
 * Exercises: balancer, drivers/postgres. Engines: postgresql.
 */
import pg from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import { everyPostgres } from './engines.ts'
import { Trio } from './postgres-trio.ts'

let trio: Trio | undefined

afterEach(async () => {
  await trio?.end()
  trio = undefined
})

const PASSWORD = 'a-secret-of-the-tests,-for-door-of-db'

async function asBalancer<T>(
  t: Trio,
  node: string,
  work: (client: pg.Client) => Promise<T>,
  database = 'postgres',
): Promise<T> {
  const client = new pg.Client({ ...t.address(node), user: 'understudy_door', password: PASSWORD, database })
  client.on('error', () => {}) // the call that waits for an answer rejects with it
  try {
    await client.connect()
    return await work(client)
  } finally {
    await client.end()
  }
}

const verifier = (client: pg.Client, name: string): Promise<string | null> =>
  client.query('select understudy.verifier($1) as it', [name]).then(({ rows }) => rows[0].it)

const isThere = async (t: Trio, node: string): Promise<boolean> =>
  asBalancer(t, node, (client) => verifier(client, 'nobody')).then(
    () => true,
    () => false,
  )

describe.each(everyPostgres)('PostgreSQL $name', ({ bin }) => {
  test('a balancer may ask for verifiers, on every replica, and for nothing else', async () => {
    const t = new Trio({ bin, options: { settings: { shared_buffers: '16MB', password_encryption: 'md5' } } })
    trio = t
    await t.begin()
    await t.until('the login is there', () => isThere(t, 'a'))
    await t.rows('a', "set password_encryption = 'scram-sha-256'; create role visitor login password 'v'")
    // Before 15 every role may create in `public`: that is the administrator's to take away, and the door's role gets nothing more.
    await t.rows('a', 'revoke create on schema public from public')
    await t.rows('a', "create role big superuser login password 'b'; create role group_of_people")
    for (const node of t.nodes) {
      await t.until(`${node} has it`, () => isThere(t, node))
      await asBalancer(t, node, async (client) => {
        await t.until('the role that was made last', async () => (await verifier(client, 'big')) !== null)
        expect(await verifier(client, 'visitor')).toMatch(/^SCRAM-SHA-256\$4096:/)
        expect(await verifier(client, 'big')).toMatch(/^md5/)
        for (const other of ['postgres', 'understudy_replica', 'understudy_door', 'group_of_people', 'nobody'])
          expect(await verifier(client, other), other).toBeNull()
        for (const forbidden of [
          'select * from pg_authid',
          'select * from understudy.quorum_rows',
          'create table x ()',
          'create role x',
          'set role visitor',
          "select pg_read_file('/etc/passwd')",
        ])
          await expect(client.query(forbidden), forbidden).rejects.toMatchObject({ code: /^(42501|25006)$/ })
      })
    }
    await expect(asBalancer(t, 'a', async () => {}, 'template1')).rejects.toMatchObject({ code: '28000' })
    await t.rows('a', 'create role curious; grant usage on schema understudy to curious')
    await expect(t.rows('a', "set role curious; select understudy.verifier('visitor')")).rejects.toMatchObject({
      code: '42501',
    })
  })

  test('it is made anew for a primary of an older version, and after a failover with another password', async () => {
    const t = new Trio({ bin })
    trio = t
    await t.begin()
    await t.until('the login is there', () => isThere(t, 'a'))
    await t.rows(
      'a',
      'drop function understudy.verifier(text); drop owned by understudy_door; drop role understudy_door',
    )
    expect(await isThere(t, 'a')).toBe(false)
    await t.restartAgent('a')
    await t.until('it is there again', () => isThere(t, 'a'))
    await t.rows('a', "alter role understudy_door password 'another'")
    process.kill(t.pidOf('a'), 'SIGKILL')
    await t.until('the end is seen', () => t.observe('a').state === 'stopped')
    const { leader, other } = await t.failOver(2)
    await t.until('the new primary knows it', () => isThere(t, leader))
    await t.until('and so does its standby', () => isThere(t, other))
  })
})
