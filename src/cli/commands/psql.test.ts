/** Where psql goes and what it is run with, against an agent that is a fake, and a psql that writes down what it was given. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type ApiServer, serveApi } from '../../api/api-server.ts'
import { FakeSurface } from '../../api/fake-surface.ts'
import { unwritten } from '../../core/config-record.ts'
import type { ClusterSpec } from '../../core/model.ts'
import { POSTGRES_DEFAULTS } from '../../drivers/postgres/options.ts'
import { StateFolder } from '../../local/cluster-folder.ts'
import { fakeIo } from '../fake-io.ts'
import { run } from '../program.ts'

let folder: string
let state: StateFolder
let surface: FakeSurface
let api: ApiServer

const given = () => JSON.parse(readFileSync(join(folder, 'given'), 'utf8')) as Record<string, string>

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-psql-'))
  state = new StateFolder(join(folder, '.understudy'))
  state.create()
  surface = new FakeSurface()
  api = await serveApi({ surface, host: '127.0.0.1', port: 0, token: state.keepToken() })
  const bin = join(folder, 'bin')
  mkdirSync(bin)
  const write = `require('fs').writeFileSync('${join(folder, 'given')}', JSON.stringify({ ...process.env, args: process.argv.slice(2).join(' ') }))`
  writeFileSync(join(bin, 'psql'), `#!${process.execPath}\n${write}\nprocess.exit(3)\n`)
  chmodSync(join(bin, 'psql'), 0o755)
  const bootstrap = { ...POSTGRES_DEFAULTS.bootstrap, database: 'shop', owner: 'shop', password: 'first' }
  const { nodes, services } = surface.current
  const spec = {
    name: 'shop',
    apiPort: api.port,
    nodes: nodes.map((node) => ({ ...node, address: '127.0.0.1' })),
    services: [
      ...services,
      { ...services[0], name: 'db', kind: 'postgres', options: { ...POSTGRES_DEFAULTS, bin, bootstrap } },
    ],
  } as unknown as ClusterSpec
  state.writeCluster({ config: unwritten(spec, { run: 'r' }), run: 'r', version: '0.0.0' })
  primaryIs('b')
})

afterEach(async () => {
  await api.close()
  rmSync(folder, { recursive: true })
})

function primaryIs(node: string | null): void {
  const [first] = surface.current.services
  const instances = ['a', 'b', 'c'].map((name) => ({
    ...first?.instances[0],
    node: name,
    role: name === node ? 'primary' : 'standby',
  }))
  const endpoints = ['primary', 'standby'].map((purpose) => ({
    node: 'a',
    purpose,
    host: '127.0.0.11',
    port: purpose === 'primary' ? 5432 : 5433,
    open: true,
  }))
  const services = [{ ...first, name: 'db', kind: 'postgres', instances, endpoints }]
  surface.current = { ...surface.current, services } as unknown as typeof surface.current
}

/** As its agent leaves it: the record of the replica says which port its server has. */
function ranOn(node: string, port: number | null = 41_000): void {
  const base = join(state.node(node), 'instances', 'db')
  mkdirSync(base, { recursive: true })
  writeFileSync(join(base, 'replica.json'), JSON.stringify({ pledged: 1, port }))
}

async function psql(args: string, env: Record<string, string> = {}) {
  const io = fakeIo({ cwd: folder, env })
  const code = await run(`psql ${args}`.split(' ').filter(Boolean), io)
  return { code, text: io.text(), complaints: io.complained.join('\n'), json: () => JSON.parse(io.text()) }
}

describe('psql at an endpoint', () => {
  it('comes in as the owner with the first password, and ends with the code of psql', async () => {
    expect((await psql('db -- -c select')).code).toBe(3)
    expect(given()).toMatchObject({
      PGHOST: '127.0.0.11',
      PGPORT: '5432',
      PGUSER: 'shop',
      PGDATABASE: 'shop',
      PGPASSWORD: 'first',
      args: '-c select',
    })
  })

  it('goes there also when the environment names another server', async () => {
    const env = { PGHOSTADDR: '192.0.2.1', PGSERVICE: 'elsewhere', PGPASSWORD: 'mine', PGAPPNAME: 'kept' }
    await psql('db', env)
    expect(given()).toMatchObject({ PGHOST: '127.0.0.11', PGPASSWORD: 'mine', PGAPPNAME: 'kept' })
    expect(given().PGHOSTADDR ?? given().PGSERVICE).toBeUndefined()
  })

  it('takes no --node', async () => {
    expect(await psql('db --node a')).toMatchObject({ code: 2, complaints: expect.stringContaining('--superuser') })
  })
})

describe('psql --superuser', () => {
  it('goes to the socket of the primary, as postgres and without a password', async () => {
    ranOn('a', 40_000)
    ranOn('b')
    expect((await psql('db --superuser -- -c select')).code).toBe(3)
    expect(given()).toMatchObject({ PGPORT: '41000', PGUSER: 'postgres', PGDATABASE: 'shop', args: '-c select' })
    expect(given().PGHOST).toBe(join(state.node('b'), 'instances', 'db', 'run'))
    expect(given().PGPASSWORD).toBeUndefined()
  })

  it('prints where it would go, and runs nothing', async () => {
    ranOn('b')
    const host = join(state.node('b'), 'instances', 'db', 'run')
    expect((await psql('db --superuser --database logs --json')).json()).toEqual({
      host,
      port: 41_000,
      user: 'postgres',
      database: 'logs',
    })
    const { text } = await psql('db --superuser --print-url')
    expect(text).toBe(`postgresql://postgres@/shop?host=${encodeURIComponent(host)}&port=41000`)
    expect(existsSync(join(folder, 'given'))).toBe(false)
  })

  it('asks no agent when --node says which server', async () => {
    ranOn('c', 42_000)
    await api.close()
    expect((await psql('db --superuser --node c --json')).json()).toMatchObject({ port: 42_000 })
  })

  it.each([
    ['db --superuser --user shop', 2, /neither --user nor --standby/],
    ['db --superuser --standby', 2, /neither --user nor --standby/],
    ['db --superuser --node d', 2, /no node “d”/],
    ['web --superuser', 2, /no PostgreSQL database/],
    ['db --superuser --node a', 3, /no server of db has run on a of this machine/],
    ['db --superuser --node b', 3, /no server of db has run on b of this machine/],
  ])('%s is refused with %i', async (args, code, why) => {
    ranOn('b', null)
    expect(await psql(args)).toMatchObject({ code, complaints: expect.stringMatching(why) })
    expect(existsSync(join(folder, 'given'))).toBe(false)
  })

  it('says that there is no primary', async () => {
    primaryIs(null)
    ranOn('b')
    expect(await psql('db --superuser')).toMatchObject({ code: 3, complaints: expect.stringMatching(/no primary now/) })
    expect((await psql('db --superuser --node b --json')).code).toBe(0)
  })
})
