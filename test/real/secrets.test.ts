/**
 * Secrets as an enemy looks for them: a cluster is started with one in an environment and in a file, the value is changed under
 * requests, instances and agents are killed, a program fails to start; and then every file, every answer and every command line is
 * searched for the values, in every spelling.
 *
 * Exercises: api, cli, client, drivers/process, local, stores. Engines: none.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { ROUTES } from '../../src/api/routes.ts'
import { type Client, connect, type ServiceStatus } from '../../src/client/index.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { apiAddresses, StateFolder } from '../../src/local/cluster-folder.ts'
import { killEverything } from '../../src/local/stop-cluster.ts'
import { claimHolder } from '../../src/local/up-claim.ts'
import { PROGRAMS } from './cluster.ts'

const MAIN = new URL('../../dist/cli/main.js', import.meta.url).pathname
const WAIT = { timeout: 60_000, interval: 100 }
/** Quotes, blanks and a backslash: what an escape would change is searched for as well. */
const [FIRST, SECOND] = ['one', 'two'].map((name) => `${name}-"${randomBytes(12).toString('hex')}" \\ä`) as [
  string,
  string,
]

let folder: string
let state: StateFolder
let up: ChildProcess | undefined
let output: string
let port: number
let apiPort: number

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-secrets-'))
  state = new StateFolder(join(folder, '.understudy'))
  ;[output, up] = ['', undefined]
  ;[port, apiPort] = [await freePort(), await freePort()]
})
afterEach(async () => {
  up?.kill('SIGKILL')
  const holder = claimHolder(state.claimFile)
  if (holder) process.kill(holder.pid, 'SIGKILL')
  await killEverything(state, systemClock)
  rmSync(folder, { recursive: true })
})

function writeConfig(): void {
  const secret = { $secret: 'db-password' }
  const timing = { pause: '500ms' }
  const web = {
    run: ['node', join(PROGRAMS, 'secret-web.mjs')],
    listen: port,
    env: { PASSWORD: secret },
    secretFiles: { PASSWORD_FILE: secret },
    check: { exec: 'test -n "$PASSWORD" && test "$PASSWORD" = "$(cat "$PASSWORD_FILE")"' },
    update: timing,
  }
  const broken = { run: './no-such-program "$PASSWORD"', instances: 1, env: { PASSWORD: secret } }
  const config = {
    name: 'shop',
    api: { port: apiPort },
    nodes: { a: {}, b: {} },
    services: { web: { kind: 'http', options: web }, broken: { kind: 'command', options: broken } },
  }
  writeFileSync(join(folder, 'understudy.config.json'), JSON.stringify(config))
}

it('secrets are given to programs, roll out when they change, and are found nowhere', async () => {
  writeConfig()
  const seen = watchCommandLines()
  expect(await understudy('', 'up', '--plain')).toMatchObject({
    code: 2,
    err: expect.stringContaining('“db-password”'),
  })
  expect(await understudy('', 'check')).toMatchObject({ code: 0, out: expect.stringContaining('“db-password”') })
  expect((await understudy(`${FIRST}\n`, 'secret', 'set', 'db-password')).code).toBe(0)
  start()
  await untilServed(FIRST)
  const client = clientOf()
  const { path, mode } = await served()
  expect([mode, path.startsWith(state.path)]).toEqual([0o600, false])

  const requests = keepAsking()
  expect((await understudy(SECOND, 'secret', 'set', 'db-password')).out).toContain(
    'web, broken will be restarted in turns',
  )
  await untilServed(SECOND)
  expect(await requests.stop()).toEqual({ failed: [], some: true })
  const events = await client.events()
  expect(
    events.some(({ rule, why }) => rule === 'instance-outdated' && why.includes('secret db-password changed')),
  ).toBe(true)

  const [instance] = (await webOf(client)).instances
  process.kill(-(instance?.pid as number), 'SIGKILL')
  process.kill((await client.status()).nodes[0]?.agentPid as number, 'SIGKILL')
  await expect
    .poll(
      async () => (await webOf(client)).instances.every(({ healthy, pid }) => healthy && pid !== instance?.pid),
      WAIT,
    )
    .toBe(true)
  await untilServed(SECOND)
  await expect.poll(async () => (await client.why('broken')).now, WAIT).toContain('command not found')
  expect(await understudy('', 'secret', 'rm', 'db-password')).toMatchObject({
    code: 3,
    err: expect.stringContaining('web'),
  })

  const said = [output, ...(await everyAnswer()), (await understudy('', 'secret', 'list', '--json')).out]
  const files = filesBelow(state.path)
  expect(files.length).toBeGreaterThan(10)
  const places = [
    ...files.map((file) => [file, readFileSync(file)] as const),
    ...said.map((text) => ['said', Buffer.from(text)] as const),
  ]
  expect(places.flatMap(([where, bytes]) => (holds(bytes) ? [where] : []))).toEqual([])
  expect(existsSync(path)).toBe(true)
  await withoutKey(client)

  expect((await understudy('', 'down')).code).toBe(0)
  expect(existsSync(path)).toBe(false)
  expect(filesBelow(state.path).filter((file) => holds(readFileSync(file)))).toEqual([])
  expect(seen()).toEqual([])
})

/** What runs goes on without the key, what ends is not started, and both say why; with the key back all is as before. */
async function withoutKey(client: Client): Promise<void> {
  const before = (await webOf(client)).instances
  const aside = join(folder, 'aside.key')
  renameSync(state.secretsKeyFile, aside)
  const notes = async () => (await webOf(client)).instances.map(({ note }) => note)
  await expect.poll(async () => (await notes()).every((note) => note.includes('check: not run')), WAIT).toBe(true)
  expect((await webOf(client)).instances.map(({ pid, healthy }) => [pid, healthy])).toEqual(
    before.map(({ pid }) => [pid, true]),
  )
  expect(await understudy('x', 'secret', 'set', 'other')).toMatchObject({
    code: 5,
    err: expect.stringContaining('put it back'),
  })
  process.kill(-(before[0]?.pid as number), 'SIGKILL')
  await expect.poll(async () => (await notes()).join(), WAIT).toContain('cannot be opened')
  renameSync(aside, state.secretsKeyFile)
  await untilServed(SECOND)
  expect((await webOf(client)).instances.map(({ pid }) => pid)).toContain(before[1]?.pid)
}

/** As it is, and as JSON, URLs, base64 and hex would write it. */
function holds(bytes: Buffer): boolean {
  return [FIRST, SECOND].some((value) => {
    const raw = Buffer.from(value)
    const key = value.slice(5, 29) // the random part, which no escape changes
    const spellings = [
      value,
      key,
      JSON.stringify(value).slice(1, -1),
      encodeURIComponent(value),
      raw.toString('base64'),
      raw.toString('hex'),
    ]
    return spellings.some((spelling) => bytes.includes(spelling))
  })
}

async function everyAnswer(): Promise<string[]> {
  const spec = state.readCluster()?.spec
  const answers: string[] = []
  for (const { host, port: at } of spec ? apiAddresses(spec) : [])
    for (const route of ROUTES.filter(({ method }) => method === 'GET')) {
      const path = route.path.replace('{service}', 'web').replace('{number}', '1')
      const response = await fetch(`http://${host}:${at}${path}`, {
        headers: { authorization: `Bearer ${state.readToken()}` },
      })
      expect([path, response.status]).toEqual([path, 200])
      answers.push(await response.text())
    }
  return answers
}

/** Looks at every process again and again; what it tells is where a value was seen. */
function watchCommandLines(): () => string[] {
  const found = new Set<string>()
  const look = () => {
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`)
        // The shell of `broken` is told the value by the config's own line, and so is nothing that we start.
        if (holds(line)) found.add(line.toString())
      } catch {
        // it has ended meanwhile
      }
    }
  }
  const timer = setInterval(look, 20)
  return () => {
    clearInterval(timer)
    return [...found]
  }
}

function filesBelow(path: string): string[] {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}

interface Served {
  readonly env: string
  readonly file: string
  readonly path: string
  readonly mode: number
}

async function served(node = 0): Promise<Served> {
  const host = state.readCluster()?.spec.nodes[node]?.address
  return (await (await fetch(`http://${host}:${port}/`)).json()) as Served
}

/** Every instance has this value, in both places. */
async function untilServed(value: string): Promise<void> {
  const digest = createHash('sha256').update(value).digest('hex')
  const isServed = async () => {
    const { instances } = await webOf(clientOf())
    if (instances.length < 2 || !instances.every(({ healthy, outdated }) => healthy && outdated === undefined))
      return false
    const answers = await Promise.all(Array.from({ length: 12 }, () => served()))
    return answers.every(({ env, file }) => env === digest && file === digest)
  }
  await expect.poll(() => isServed().catch(() => false), WAIT).toBe(true)
}

function keepAsking(): { stop(): Promise<{ readonly failed: readonly string[]; readonly some: boolean }> } {
  const failed: string[] = []
  let [asked, going] = [0, true]
  const host = state.readCluster()?.spec.nodes[0]?.address
  const loop = async () => {
    while (going) {
      const status = await fetch(`http://${host}:${port}/`).then(({ status: code }) => String(code), String)
      if (status !== '200') failed.push(status)
      asked += 1
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
  const done = loop()
  return {
    async stop() {
      going = false
      await done
      return { failed, some: asked > 10 }
    },
  }
}

function clientOf(): Client {
  const cluster = state.readCluster()
  if (!cluster) throw new Error('no cluster was started')
  return connect({ addresses: apiAddresses(cluster.spec), token: state.readToken() ?? '', timeoutMs: 5_000 })
}

async function webOf(client: Client): Promise<ServiceStatus> {
  const found = (await client.status()).services.find(({ name }) => name === 'web')
  if (!found) throw new Error('no web')
  return found
}

function start(): void {
  up = spawn(process.execPath, [MAIN, 'up', '--plain'], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  for (const stream of [up.stdout, up.stderr]) stream?.on('data', (piece) => (output += String(piece)))
}

function understudy(input: string, ...words: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [MAIN, ...words], { cwd: folder })
  let [out, err] = ['', '']
  child.stdout.on('data', (piece) => (out += String(piece)))
  child.stderr.on('data', (piece) => (err += String(piece)))
  child.stdin.end(input)
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, out, err })))
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve))
  const { port: free } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return free
}
