/**
 * The password of a database's owner is a secret: the database is made with it, and another value is taken while it runs and is
 * written to. No session ends, and the value is in no file.
 *
 * Exercises: agent, api, client, drivers/postgres, local, stores. Engines: postgresql.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { afterEach, expect, test } from 'vitest'
import { setSecret } from '../../src/agent/secret-store.ts'
import { postgres, secret } from '../../src/config/define.ts'
import { systemClock as clock } from '../../src/lib/clock.ts'
import { StateFolder } from '../../src/local/cluster-folder.ts'
import { openStore } from '../../src/stores/index.ts'
import { serviceOf, startCluster, type TestCluster } from './cluster.ts'
import { anyPostgres } from './engines.ts'

const LISTEN = 5432
const [FIRST, SECOND] = ['first-6f1d0c9ab2', 'second-77e0cb41d5'] as const
const WAIT = { timeout: 60_000, interval: 200 }
let cluster: TestCluster | undefined
const clients: pg.Client[] = []

afterEach(async () => {
  await cluster?.stop()
  for (const client of clients.splice(0)) await client.end().catch(() => undefined) // its server is gone
  cluster = undefined
})

async function setBefore(stateDir: string): Promise<void> {
  const state = new StateFolder(stateDir)
  state.create()
  const store = await openStore({ kind: 'embedded', path: state.storeFile, clock, random: Math.random })
  await setSecret({ store, keyFile: state.secretsKeyFile }, 'db-password', FIRST, { at: clock.wall(), by: 'test' })
  await store.close()
}

test('the password of the owner follows its secret, and no session ends for it', async () => {
  const db = postgres({
    ...anyPostgres,
    instances: 2,
    degrade: 'run-alone',
    listen: LISTEN,
    database: { name: 'shop', owner: 'shop', password: secret('db-password') },
  })
  cluster = await startCluster(() => ({ db }), { prepare: ({ stateDir }) => setBefore(stateDir) })
  const { local, spec, stateDir } = cluster
  await cluster.until('a primary', (status) => serviceOf(status, 'db').healthy, 90_000)

  const login = async (password: string): Promise<pg.Client> => {
    const at = { host: spec.nodes[0]?.address ?? '', port: LISTEN, user: 'shop', database: 'shop' }
    const client = new pg.Client({ ...at, password })
    client.on('error', () => undefined) // told by what is asked next
    clients.push(client)
    await client.connect()
    return client
  }
  const session = await login(FIRST)
  const pid = async () => (await session.query('select pg_backend_pid() as pid')).rows[0]?.pid
  const before = await pid()
  expect(await local.client.setSecret('db-password', { value: SECOND })).toMatchObject({ version: 2, changed: true })
  await expect.poll(() => login(SECOND).then(() => 'in', String), WAIT).toBe('in')
  await expect(login(FIRST)).rejects.toThrow('password authentication failed')
  expect(await pid()).toBe(before)
  expect((await cluster.status()).services.every(({ rollout }) => rollout === undefined)).toBe(true)

  const files = readdirSync(stateDir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  const found = files
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => {
      const bytes = readFileSync(path)
      return [FIRST, SECOND].some((value) => bytes.includes(value))
    })
  expect(found).toEqual([])
}, 180_000)
