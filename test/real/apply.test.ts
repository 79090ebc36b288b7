/**
 * A running cluster is changed while clients call: services and nodes come and go, options change, a change is aborted and taken
 * back, a service is restarted, stopped and started. What comes of it is the old config or the new one, and no request fails.
 *
 * Exercises: api, agent, balancer, cli, client, config, drivers/process, local, stores. Engines: none.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { ConfigEntry, Status } from '../../src/client/index.ts'
import { systemClock as clock, sleep } from '../../src/lib/clock.ts'
import { failed, type Load, startLoad } from '../../src/lib/steady-load.ts'
import { allHealthy, instancesIn, Operator, type Outcome, serviceIn } from './operator.ts'

/** Says its greeting; ends at once when it is told to be broken. */
const WEB = `import { createServer } from 'node:http'
  if (process.env.BROKEN) { console.error('broken on purpose'); process.exit(3) }
  const server = createServer((_, response) => response.end(process.env.GREETING + ' ' + process.pid))
  server.listen(process.env.PORT, process.env.HOST)
  process.on('SIGTERM', () => server.close(() => process.exit(0)))`

const UPDATE = `update: { pause: '300ms' }`
const web = (given = '', greeting = 'one') =>
  `web: http({ run: 'node web.mjs', instances: 2, listen: 8080, env: { GREETING: '${greeting}' }, ${UPDATE}, ${given} })`
const worker = (given = '') =>
  `worker: command({ run: 'exec sleep 100000', redundancy: 'active-passive', instances: 2, ${UPDATE}, ${given} })`

let operator: Operator
let loads: Load[] = []

function config(services: readonly string[], nodes = ['a', 'b', 'c']): void {
  const listed = nodes.map((name) => `${name}: { address: '${operator.address(name)}' }`).join(', ')
  const timing = `timing: { settle: '100ms', grace: '3s' }`
  operator.write(
    'understudy.config.ts',
    `import { command, defineCluster, http } from 'understudy'
    export default defineCluster({ name: 'try', nodes: { ${listed} }, services: { ${services.join(', ')} }, ${timing} })`,
  )
}

async function apply(...more: readonly string[]): Promise<Outcome> {
  return operator.run('apply', '--yes', '--timeout', '90s', ...more)
}

async function applied(...more: readonly string[]): Promise<Status> {
  const outcome = await apply(...more)
  expect(outcome, `${outcome.out}\n${outcome.err}`).toMatchObject({ code: 0 })
  return operator.json('status')
}

const numberNow = async () => (await operator.json<Status>('status')).config?.number ?? 0

async function answers(port = 8080, nodes = ['a', 'b', 'c']): Promise<Set<string>> {
  const bodies = await Promise.all(
    nodes.flatMap((node) =>
      [1, 2, 3, 4].map(async () => (await fetch(`http://${operator.address(node)}:${port}/`)).text()),
    ),
  )
  return new Set(bodies.map((body) => body.split(' ')[0] ?? ''))
}

function load(): Load {
  const urls = ['a', 'b'].map((node) => `http://${operator.address(node)}:8080/`)
  const started = startLoad({ urls, method: 'GET', perSecond: 40 })
  loads.push(started)
  return started
}

async function expectNoneFailed(started: Load): Promise<void> {
  const shots = await started.stop()
  loads = loads.filter((one) => one !== started)
  expect(shots.length).toBeGreaterThan(0)
  expect(shots.filter(failed)).toEqual([])
}

beforeAll(async () => {
  operator = new Operator()
  operator.write('web.mjs', WEB)
  config([web(), worker()])
  expect(await operator.run('up', '--detach')).toMatchObject({ code: 0 })
  await operator.until('all is healthy', allHealthy)
}, 90_000)
afterAll(() => operator.close())
afterEach(async () => {
  for (const started of loads.splice(0)) await started.stop()
})

describe('under load, without a failed request', () => {
  it('the environment of a service changes instance by instance, and rollback takes it back', async () => {
    const { code, out } = await operator.run('apply', '--plan')
    expect([code, out]).toEqual([0, expect.stringContaining('there is nothing to do')])
    config([web('', 'two'), worker()])
    expect((await operator.run('apply', '--plan')).code).toBe(2)
    const gets = load()
    const pids = instancesIn(await operator.json('status'), 'web').map(({ pid }) => pid)
    const status = await applied('--message', 'another greeting')
    expect(instancesIn(status, 'web').filter(({ pid }) => pids.includes(pid))).toEqual([])
    expect(await answers()).toEqual(new Set(['two']))
    const { number } = status.config ?? { number: 0 }
    expect((await operator.json<ConfigEntry[]>('config', 'history'))[0]).toMatchObject({
      number,
      message: 'another greeting',
    })
    const back = await operator.run('config', 'rollback', String(number - 1), '--yes', '--timeout', '90s')
    expect(back, back.err).toMatchObject({ code: 0 })
    await expectNoneFailed(gets)
    expect(await answers()).toEqual(new Set(['one']))
  }, 120_000)

  it('a service is added and removed, instances and timing change, and a node comes and goes', async () => {
    const gets = load()
    const api = `api: http({ run: 'node web.mjs', instances: 1, listen: 8090, env: { GREETING: 'api' }, ${UPDATE} })`
    const nodes = ['a', 'b', 'c', 'd']
    config([web(`instances: 3, grace: '4s'`), worker(), api], nodes)
    const grown = await applied()
    expect(grown.nodes.map(({ name, alive }) => `${name} ${alive}`)).toEqual(nodes.map((name) => `${name} true`))
    expect(instancesIn(grown, 'web').filter(({ healthy }) => healthy)).toHaveLength(3)
    expect(await answers(8090, nodes)).toEqual(new Set(['api']))
    config([web(), worker()])
    const shrunk = await applied()
    expect(shrunk.nodes.map(({ name }) => name)).toEqual(['a', 'b', 'c'])
    expect(shrunk.services.map(({ name }) => name)).toEqual(['web', 'worker'])
    await expect(fetch(`http://${operator.address('a')}:8090/`)).rejects.toThrow()
    await expectNoneFailed(gets)
  }, 150_000)

  it('restart replaces every instance and nothing else', async () => {
    const gets = load()
    const before = await operator.json<Status>('status')
    const { code, out, err } = await operator.run('restart', 'web')
    expect([code, err]).toEqual([0, ''])
    expect(out).toContain('every instance of web was replaced.')
    const after = await operator.json<Status>('status')
    const pids = (status: Status, name: string) => instancesIn(status, name).flatMap(({ pid }) => pid ?? [])
    expect(pids(after, 'web').filter((pid) => pids(before, 'web').includes(pid))).toEqual([])
    expect(pids(after, 'worker')).toEqual(pids(before, 'worker'))
    await expectNoneFailed(gets)
  }, 90_000)
})

describe('a version that does not work', () => {
  it('stops after one instance; --abort goes back', async () => {
    const gets = load()
    config([web(`env: { GREETING: 'bad', BROKEN: '1' }`), worker()])
    const { code, err, out } = await apply()
    expect([code, err]).toEqual([1, expect.stringMatching(/the roll-out of web stopped after 0 of \d/)])
    expect(out).toContain('understudy apply --abort')
    const stopped = await operator.json<Status>('status')
    expect(serviceIn(stopped, 'web').rollout).toMatchObject({
      state: 'stopped',
      why: expect.stringContaining('failed'),
    })
    expect((await operator.run('status')).out).toContain('roll-out stopped')
    expect(await answers()).toEqual(new Set(['one']))
    expect(await operator.run('apply', '--abort')).toMatchObject({ code: 0 })
    await operator.until('the config before is back', (status) => {
      const { rollout, redundancyState } = serviceIn(status, 'web')
      return allHealthy(status) && rollout === undefined && redundancyState.there === 2
    })
    await expectNoneFailed(gets)
    expect(await operator.run('apply', '--abort')).toMatchObject({ code: 3 })
  }, 120_000)
})

describe('what is refused changes nothing', () => {
  it('of two applies at once the one that came second', async () => {
    const before = await numberNow()
    const texts = ['x', 'y'].map((greeting) => {
      config([web('', greeting), worker()])
      operator.write(`${greeting}.config.ts`, configText())
      return `${greeting}.config.ts`
    })
    const outcomes = await Promise.all(texts.map((file) => operator.run('apply', file, '--yes', '--timeout', '90s')))
    const codes = outcomes.map(({ code }) => code).sort()
    // Both may be accepted where the second one read what the first one had written: then it replaced it.
    expect([
      [0, 3],
      [0, 1],
    ]).toContainEqual(codes)
    if (codes[1] === 3) expect(outcomes.map(({ err }) => err).join('')).toContain('UND_CONFLICT')
    const after = await operator.until(
      'one of the two holds',
      (status) => allHealthy(status) && !serviceIn(status, 'web').rollout,
    )
    expect(after.config?.number).toBe(before + (codes[1] === 3 ? 1 : 2))
    expect((await answers()).size).toBe(1)
  }, 120_000)

  it('a config that does not compile, another name, another kind, a service that is not there', async () => {
    const before = await numberNow()
    config([`web: http({ run: 'node web.mjs', lisen: 8080 })`])
    expect(await apply()).toMatchObject({ code: 2, err: expect.stringContaining('lisen') })
    config([worker(), `web: command({ run: 'node web.mjs', instances: 2 })`])
    expect(await apply()).toMatchObject({
      code: 3,
      out: expect.stringMatching(/web cannot be changed from http\(\) to\s+command\(\)/),
    })
    expect(await operator.run('restart', 'wbe')).toMatchObject({
      code: 2,
      err: expect.stringContaining('did you mean “web”?'),
    })
    expect(await numberNow()).toBe(before)
  }, 60_000)
})

describe('a change that is not looked at', () => {
  it('goes on after Ctrl-C, and while agents die', async () => {
    config([web('', 'three'), worker()])
    const { child, ended, output } = operator.start('apply', '--yes', '--timeout', '90s')
    await expect.poll(output, { timeout: 20_000 }).toContain('Accepted')
    child.kill('SIGINT')
    expect((await ended).code).toBe(130)
    for (const { agentPid } of (await operator.json<Status>('status')).nodes) {
      if (agentPid !== null) process.kill(agentPid, 'SIGKILL')
      await sleep(clock, 200)
    }
    await operator.until('all is new', (status) => allHealthy(status) && !serviceIn(status, 'web').rollout)
    expect(await answers()).toEqual(new Set(['three']))
  }, 120_000)

  it('up with another config applies it, and the other up goes on looking after the cluster', async () => {
    config([web('', 'four'), worker()])
    expect(await operator.run('up')).toMatchObject({ code: 2, err: expect.stringContaining('add --yes') })
    const { code, out, err } = await operator.run('up', '--yes', '--timeout', '90s')
    expect([code, err]).toEqual([0, ''])
    expect(out).toMatch(/goes on looking after the cluster/)
    expect(await answers()).toEqual(new Set(['four']))
    expect(await operator.run('up')).toMatchObject({ code: 6 })
  }, 120_000)
})

describe('a service that is stopped', () => {
  it('stays stopped when agents die and over down and up, and is started again', async () => {
    expect(await operator.run('stop', 'worker')).toMatchObject({ code: 0 })
    const isStopped = (status: Status) => {
      const { stopped, instances } = serviceIn(status, 'worker')
      return stopped !== undefined && instances.every(({ state }) => state === 'stopped')
    }
    const { nodes } = await operator.until('it is stopped', isStopped)
    for (const { agentPid } of nodes) if (agentPid !== null) process.kill(agentPid, 'SIGKILL')
    await operator.until('agents are back', (status) => status.nodes.every(({ alive }) => alive) && isStopped(status))
    expect(await operator.run('down')).toMatchObject({ code: 0 })
    expect(await operator.run('up', '--detach', '--timeout', '60s')).toMatchObject({ code: 0 })
    expect(isStopped(await operator.until('web is back', (status) => serviceIn(status, 'web').healthy))).toBe(true)
    expect((await operator.run('status')).out).toContain('stopped by an operator: worker')
    expect(await operator.run('start', 'worker')).toMatchObject({ code: 0 })
    await operator.until('all is healthy', allHealthy)
  }, 150_000)
})

function configText(): string {
  return readFileSync(join(operator.folder, 'understudy.config.ts'), 'utf8')
}
