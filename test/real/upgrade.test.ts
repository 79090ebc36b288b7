/**
 * Understudy itself is upgraded, node by node, under load: from the commit in `test/upgrade-base` to this version and back, and from this
 * version to a later one, which takes over sockets, connections and sessions, and back. Counted is what clients see.
 *
 * Exercises: agent, api, balancer, cli, client, local, stores, drivers/postgres. Engines: postgresql.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import { isUp } from '../../src/api/closed-endpoints.ts'
import type { Status } from '../../src/client/index.ts'
import { systemClock as clock, sleep } from '../../src/lib/clock.ts'
import { signal } from '../../src/lib/proc.ts'
import { StateFolder } from '../../src/local/cluster-folder.ts'
import { letGoOf } from '../../src/local/end-cluster.ts'
import { findAgent } from '../../src/local/node-processes.ts'
import { killEverything } from '../../src/local/stop-cluster.ts'
import { claimHolder } from '../../src/local/up-claim.ts'
import { anyPostgres } from './engines.ts'

const ROOT = join(import.meta.dirname, '../..')
const BASE = readFileSync(join(ROOT, 'test/upgrade-base'), 'utf8').trim()
const PATIENCE_MS = 90_000

const scratch = mkdtempSync(join(tmpdir(), 'und-upgrade-'))
chmodSync(scratch, 0o755) // as root, PostgreSQL runs as another user, which passes through
afterAll(() => rmSync(scratch, { recursive: true, force: true, maxRetries: 5 }))

const own = join(ROOT, 'dist/cli/main.js')

/** Builds the commit with this repository's own compiler; undefined when this clone does not have it. */
function buildEarlier(): string | undefined {
  const folder = join(scratch, 'base')
  mkdirSync(folder)
  try {
    execFileSync('git', ['cat-file', '-e', `${BASE}^{commit}`], { cwd: ROOT, stdio: 'ignore' })
  } catch {
    return undefined // a shallow clone, or an archive without history
  }
  const tar = execFileSync('git', ['archive', BASE, 'src', 'package.json', 'tsconfig.json', 'tsconfig.build.json'], {
    ...{ cwd: ROOT, maxBuffer: 1 << 30 },
  })
  execFileSync('tar', ['-x', '-C', folder], { input: tar })
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  execFileSync(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json'], {
    cwd: folder,
  })
  return join(folder, 'dist/cli/main.js')
}

/** This version once more, under another number. */
function laterVersion(): string {
  const folder = join(scratch, 'later')
  if (!existsSync(folder)) {
    cpSync(join(ROOT, 'dist'), join(folder, 'dist'), { recursive: true })
    const about = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as object
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ ...about, version: '99.0.0' }))
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  }
  return join(folder, 'dist/cli/main.js')
}

let folder: string
let state: StateFolder
let prefix: string
const children: ChildProcess[] = []
const ending: (() => Promise<unknown>)[] = []

beforeEach(() => {
  folder = mkdtempSync(join(scratch, 'run-'))
  chmodSync(folder, 0o755)
  state = new StateFolder(join(folder, '.understudy'))
  prefix = `127.${randomInt(100, 250)}.${randomInt(1, 250)}`
})
afterEach(async () => {
  for (const end of ending.splice(0)) await end()
  for (const child of children.splice(0)) child.kill('SIGKILL')
  const holder = claimHolder(state.claimFile)
  if (holder) signal(holder, 'SIGKILL')
  await killEverything(state, clock)
})

const NODES = ['a', 'b', 'c'] as const
const address = (node: string) => `${prefix}.${11 + 'abc'.indexOf(node)}`

function writeConfig(): void {
  const nodes = NODES.map((name) => `${name}: { address: '${address(name)}' }`).join(', ')
  const bin = anyPostgres.bin === undefined ? '' : `bin: '${anyPostgres.bin}',`
  writeFileSync(
    join(folder, 'understudy.config.ts'),
    `import { command, defineCluster, http, postgres } from 'understudy'
    export default defineCluster({ name: 'try', nodes: { ${nodes} }, services: {
      web: http({ run: 'node web.mjs', listen: 8080, instances: 3, healthy: '/' }),
      worker: command({ run: 'sleep 100000', redundancy: 'active-passive', instances: 2 }),
      db: postgres({ ${bin} instances: 3, listen: 5432, database: { name: 'shop', owner: 'shop', password: 'secret' },
        settings: { shared_buffers: '16MB', max_connections: 40 } }),
    } })`,
  )
  writeFileSync(
    join(folder, 'web.mjs'),
    `import { createServer } from 'node:http'
    const { HOST = '127.0.0.1', PORT } = process.env
    createServer((asked, answer) => { asked.resume(); asked.once('end', () => answer.end('ok')) }).listen(Number(PORT), HOST)`,
  )
}

async function run(main: string, ...args: readonly string[]): Promise<string> {
  const env = { ...process.env, UNDERSTUDY_STATE: state.path }
  const child = spawn(process.execPath, [main, ...args], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  let said = ''
  child.stdout.on('data', (data) => {
    said += data
  })
  child.stderr.on('data', (data) => {
    said += data
  })
  const code = await new Promise((resolve) => child.once('close', resolve))
  if (code !== 0) throw new Error(`${args.join(' ')}: exit code ${code}: ${said}`)
  return said
}

async function until(what: string, main: string, holds: (status: Status) => boolean): Promise<Status> {
  const deadline = clock.mono() + PATIENCE_MS
  let last: Status | undefined
  while (clock.mono() < deadline) {
    last = await run(main, 'status', '--json').then(
      (text) => JSON.parse(text) as Status,
      () => undefined,
    )
    if (last && holds(last)) return last
    await sleep(clock, 200)
  }
  throw new Error(`not within ${PATIENCE_MS} ms: ${what}: ${JSON.stringify(last?.nodes)}`)
}

const isCalm = (status: Status) =>
  status.nodes.every(({ alive }) => alive) &&
  status.services.every((service) => service.healthy && isUp(status, service)) &&
  status.services.every(({ redundancyState }) => redundancyState.state !== 'degraded')

/** What clients see: requests on kept and on new connections, and commits of sessions that stay open, at each node. */
class Load {
  readonly failed: string[] = []
  requests = 0
  commits = 0
  #going = true
  readonly #ended: Promise<unknown>
  readonly #sessions: pg.Client[] = []
  readonly #agents: Agent[] = []

  constructor() {
    const loops: Promise<void>[] = []
    for (const node of NODES) {
      const kept = new Agent({ keepAlive: true, maxSockets: 1 })
      this.#agents.push(kept)
      loops.push(this.#ask(node, 'GET', kept), this.#ask(node, 'POST', kept), this.#ask(node, 'POST', undefined))
      loops.push(this.#commit(node))
    }
    this.#ended = Promise.all(loops)
    ending.push(() => this.stop())
  }

  async stop(): Promise<void> {
    this.#going = false
    await this.#ended
    for (const agent of this.#agents) agent.destroy()
    for (const session of this.#sessions.splice(0)) await session.end().catch(() => {})
  }

  async #ask(node: string, method: 'GET' | 'POST', agent: Agent | undefined): Promise<void> {
    while (this.#going) {
      const wrong = await ask(address(node), method, agent)
      if (wrong === undefined) this.requests += 1
      else this.failed.push(`${method} at ${node}: ${wrong}`)
      await sleep(clock, 15)
    }
  }

  async #commit(node: string): Promise<void> {
    const to = { host: address(node), port: 5432, user: 'shop', password: 'secret', database: 'shop' }
    const session = new pg.Client(to)
    this.#sessions.push(session)
    session.on('error', (error) => this.failed.push(`session at ${node}: ${error.message}`))
    await session.connect()
    await session.query(`create table if not exists t_${node} (n int)`)
    while (this.#going) {
      try {
        await session.query(`insert into t_${node} values (1)`)
        this.commits += 1
      } catch (error) {
        this.failed.push(`commit at ${node}: ${(error as Error).message}`)
        return
      }
      await sleep(clock, 30)
    }
  }
}

function ask(host: string, method: string, agent: Agent | undefined): Promise<string | undefined> {
  return new Promise((resolve) => {
    const asked = request({ host, port: 8080, method, path: '/', ...(agent && { agent }) }, (answer) => {
      answer.resume()
      answer.once('end', () => resolve(answer.statusCode === 200 ? undefined : `status ${answer.statusCode}`))
      answer.once('error', (error) => resolve(error.message))
    })
    asked.once('error', (error) => resolve(error.message))
    asked.end(method === 'POST' ? 'order' : undefined)
  })
}

const pidsOf = ({ services }: Status) =>
  services.flatMap(({ name, instances }) => instances.map(({ node, pid }) => `${name}@${node} ${pid}`))

async function beginWith(main: string): Promise<{ load: Load; status: Status }> {
  writeConfig()
  await run(main, 'up', '--detach', '--timeout', '90s')
  const status = await until('everything is there', main, isCalm)
  return { load: new Load(), status }
}

/** The load went on, nothing of it failed, and no instance was restarted. */
async function nothingWasSeen(load: Load, main: string, before: Status): Promise<Status> {
  const [requests, commits] = [load.requests, load.commits]
  const deadline = clock.mono() + PATIENCE_MS
  while (load.failed.length === 0 && (load.requests < requests + 30 || load.commits < commits + 10)) {
    expect(clock.mono(), 'the load goes on').toBeLessThan(deadline)
    await sleep(clock, 50)
  }
  expect(load.failed).toEqual([])
  const now = await until('everything is there', main, isCalm)
  expect(pidsOf(now)).toEqual(pidsOf(before))
  return now
}

test('from the version before and back: no request fails, no session is closed, no instance is restarted', async ({
  skip,
}) => {
  const base = buildEarlier()
  if (base === undefined) return skip(`the commit ${BASE} is not in this clone: nothing to upgrade from`)
  const { load, status } = await beginWith(base)
  await run(own, 'upgrade', '--self')
  const upgraded = await nothingWasSeen(load, own, status)
  const version = (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }).version
  for (const node of upgraded.nodes)
    expect(node).toMatchObject({ version, fenceVersion: version, balancerVersion: 'earlier', protocol: 1 })
  expect(await run(own, 'status')).toContain('cannot hand over')

  await letGoOf(state, clock)
  await run(base, 'up', '--detach', '--timeout', '90s')
  for (const name of NODES) {
    const agent = findAgent(state.node(name))
    if (agent) signal(agent, 'SIGTERM')
    const isBack = ({ nodes }: Status) => nodes.find((node) => node.name === name)?.agentPid !== agent?.pid
    await until(`${name} is back`, base, (now) => isBack(now) && isCalm(now))
  }
  await nothingWasSeen(load, base, status)
  await load.stop()
}, 300_000)

test('to a later version and back: balancers hand over sockets, requests and sessions go on', async () => {
  const later = laterVersion()
  const { load, status } = await beginWith(own)
  await run(later, 'upgrade', '--self')
  const upgraded = await nothingWasSeen(load, later, status)
  for (const node of upgraded.nodes)
    expect(node).toMatchObject({ version: '99.0.0', fenceVersion: '99.0.0', balancerVersion: '99.0.0' })
  await run(later, 'switchover', 'db')
  await until('it has a primary again', later, isCalm)
  expect(load.failed, 'sessions of the predecessors moved, too').toEqual([])
  await run(own, 'upgrade', '--self')
  const back = await until('everything is there', own, isCalm)
  expect(back.nodes.map(({ balancerVersion }) => balancerVersion)).not.toContain('99.0.0')
  await load.stop()
  expect(load.failed).toEqual([])
}, 300_000)
