/**
 * `up` and `down` as operators use them: the built program, real agents, real services.
 *
 * Exercises: api, balancer, cli, client, drivers/process, local, stores. Engines: none. Fast.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Status } from '../../src/client/index.ts'
import { unwritten } from '../../src/core/config-record.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { identify } from '../../src/lib/proc.ts'
import { StateFolder } from '../../src/local/cluster-folder.ts'
import { killEverything, whatIsLeft } from '../../src/local/stop-cluster.ts'
import { claimHolder } from '../../src/local/up-claim.ts'

const MAIN = new URL('../../dist/cli/main.js', import.meta.url).pathname
const WAIT = { timeout: 30_000, interval: 100 }

let folder: string
let state: StateFolder
let started: ChildProcess[]
let ports: { readonly api: number; readonly balancer: number }

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-up-'))
  state = new StateFolder(join(folder, '.understudy'))
  started = []
  ports = { api: await freePort(), balancer: await freePort() }
  writeFileSync(
    join(folder, 'web.mjs'),
    "import { createServer } from 'node:http'\n" +
      "createServer((_, response) => response.end('ok')).listen(process.env.PORT, process.env.HOST, () => console.log('ready'))",
  )
  writeConfig(2)
})

afterEach(async () => {
  for (const child of started) child.kill('SIGKILL')
  const holder = claimHolder(state.claimFile)
  if (holder) process.kill(holder.pid, 'SIGKILL')
  await killEverything(state, systemClock)
  rmSync(folder, { recursive: true })
})

it('a reader of logs that pauses gets every line, and only then the exit code', async () => {
  const spec = { name: 'shop', apiPort: 1, nodes: [{ name: 'a', address: '127.0.0.1' }], services: [{ name: 'web' }] }
  state.create()
  state.keepToken()
  state.writeCluster({ config: unwritten(spec as never, { run: 'r' }), run: 'r', version: '0' })
  mkdirSync(join(state.node('a'), 'logs'), { recursive: true })
  const lines = 30_000
  writeFileSync(join(state.node('a'), 'logs', 'web.log'), `${'x'.repeat(99)}\n`.repeat(lines))
  const child = spawn(process.execPath, [MAIN, 'logs', 'web', '-n', String(lines), '--state', state.path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let bytes = 0
  const ended = new Promise((resolve) => child.once('exit', resolve))
  // Longer than what a command that is done may take to end: the pause is the case.
  await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 4_000))])
  for await (const chunk of child.stdout) bytes += (chunk as Buffer).length
  expect([await ended, bytes]).toEqual([0, lines * 100])
})

describe('up', () => {
  it('keeps a cluster running in the foreground until Ctrl-C, which ends everything', async () => {
    const up = start('up', '--plain')
    await healthy()
    const second = await understudy('up')
    expect([second.code, second.err]).toEqual([6, expect.stringContaining('UND_ALREADY_RUNNING')])
    expect(await understudy('logs', 'web', '-n', '1')).toMatchObject({
      code: 0,
      out: expect.stringContaining('| ready'),
    })

    up.child.kill('SIGINT')
    expect(await up.ended).toBe(0)
    expect(up.output()).toContain('instance-missing')
    expect(up.output()).toMatch(/Stopping everything in order[\s\S]*Stopped\. Nothing had to be killed\.\n$/)
    expect(whatIsLeft(state)).toEqual([])
    expect((await understudy('status')).code).toBe(7)
  })

  it('kills everything at once when it is asked a second time', async () => {
    const up = start('up', '--plain')
    const { nodes } = await healthy()
    // An agent that is stopped cannot end in order: only force gets over it.
    process.kill(nodes[0]?.agentPid as number, 'SIGSTOP')
    up.child.kill('SIGINT')
    await expect.poll(up.output, WAIT).toContain('Stopping everything')
    up.child.kill('SIGINT')
    expect(await up.ended).toBe(1)
    expect(up.output()).toMatch(/Killed at once, as you asked:\n[\s\S]*a {2}agent/)
    expect(whatIsLeft(state)).toEqual([])
  })

  it('goes to the background when all is well; the next one takes over after kill -9; down ends it', async () => {
    const first = await understudy('up', '--detach')
    expect(first).toMatchObject({ code: 0, out: expect.stringContaining('every service is healthy') })
    const before = pids(await healthy())
    process.kill(claimHolder(state.claimFile)?.pid as number, 'SIGKILL')

    writeConfig(1)
    expect(await understudy('up', '--detach')).toMatchObject({
      code: 2,
      out: expect.stringContaining('config 1 → 2'),
      err: expect.stringContaining('add --yes'),
    })
    writeConfig(2)
    expect((await understudy('up', '--detach')).code).toBe(0)
    expect(pids(await healthy())).toEqual(before)

    const down = await understudy('down')
    expect(down).toEqual({ code: 0, out: 'Stopped. Nothing had to be killed.\n', err: '' })
    await expect.poll(() => claimHolder(state.claimFile), WAIT).toBeUndefined()
    expect([whatIsLeft(state), readFileSync(state.upLog, 'utf8')]).toEqual([[], expect.stringContaining('Let go')])
  })

  it.each(['down', 'Ctrl-C'])('%s ends everything although the state folder was removed while it ran', async (how) => {
    const up = start('up', '--plain')
    const { nodes } = await healthy()
    rmSync(state.path, { recursive: true })
    if (how === 'Ctrl-C') up.child.kill('SIGINT')
    else expect(await understudy('down')).toMatchObject({ out: expect.stringContaining('Stopped.') })
    await up.ended
    expect(whatIsLeft(state)).toEqual([])
    for (const { agentPid } of nodes) expect(agentPid && identify(agentPid)).toBeUndefined()
    expect(await understudy('down')).toMatchObject({ code: 0, out: expect.stringContaining('Nothing ran') })
  })

  it('recovers after everything was killed', async () => {
    await understudy('up', '--detach')
    process.kill(claimHolder(state.claimFile)?.pid as number, 'SIGKILL')
    await killEverything(state, systemClock)
    expect((await understudy('up', '--detach')).code).toBe(0)
    expect((await healthy()).services[0]?.instances).toHaveLength(2)
    expect((await understudy('down')).code).toBe(0)
  })

  it('says what is not healthy when it takes too long', async () => {
    writeFileSync(join(folder, 'web.mjs'), 'process.exit(1)')
    const up = await understudy('up', '--detach', '--timeout', '10s')
    expect(up).toMatchObject({ code: 9, err: expect.stringMatching(/not healthy after 10 s:\n {2}web: /) })
    expect((await understudy('status', '--exit-code')).code).toBe(1)
    expect((await understudy('down')).code).toBe(0)
  })
})

function writeConfig(instances: number): void {
  const text = `import { defineCluster, http } from 'understudy'
    export default defineCluster({
      name: 'try', api: { port: ${ports.api} },
      nodes: { a: { address: '127.0.0.1' }, b: { address: '127.0.0.2' } },
      services: { web: http({ run: 'node web.mjs', instances: ${instances}, listen: ${ports.balancer}, healthy: '/' }) },
    })`
  writeFileSync(join(folder, 'understudy.config.ts'), text)
}

function start(...args: readonly string[]) {
  const child = spawn(process.execPath, [MAIN, ...args], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  started.push(child)
  let out = ''
  let err = ''
  child.stdout.on('data', (data) => {
    out += data
  })
  child.stderr.on('data', (data) => {
    err += data
  })
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  return { child, ended, output: () => out, complaints: () => err }
}

async function understudy(...args: readonly string[]): Promise<{ code: number | null; out: string; err: string }> {
  const { ended, output, complaints } = start(...args)
  const code = await ended
  return { code, out: output(), err: complaints() }
}

/** The status as soon as every service is healthy. */
async function healthy(): Promise<Status> {
  let status: Status | undefined
  await expect
    .poll(async () => {
      const { code, out } = await understudy('status', '--json')
      status = code === 0 ? (JSON.parse(out) as Status) : undefined
      // An agent hears of the others soon after it has started: until then it cannot name their processes.
      const isKnown = status?.nodes.every(({ agentPid, balancerPid, fencePid }) => agentPid && balancerPid && fencePid)
      const areHealthy = status?.services.every(
        ({ healthy, instances }) => healthy && instances.every((one) => one.healthy),
      )
      return Boolean(isKnown && areHealthy)
    }, WAIT)
    .toBe(true)
  return status as Status
}

function pids({ nodes, services }: Status): (number | null)[] {
  const instances = services.flatMap((service) => service.instances.map(({ pid }) => pid))
  return [...nodes.flatMap(({ agentPid, balancerPid, fencePid }) => [agentPid, balancerPid, fencePid]), ...instances]
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}
