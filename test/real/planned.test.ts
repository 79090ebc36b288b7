/**
 * What operators do on purpose while clients call: switchover of a service with one primary, drain of a node, warm
 * standbys. No client may notice more than a pause. And what operators look at meanwhile: logs -f, events -f.
 *
 * Exercises: api, balancer, cli, client, drivers/process, local, stores. Engines: none. Fast.
 */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { EventRecord } from '../../src/client/index.ts'
import { systemClock as clock, sleep } from '../../src/lib/clock.ts'
import { identify, isAlive } from '../../src/lib/proc.ts'
import { failed, type Load, type Shot, startLoad, summarize } from '../../src/lib/steady-load.ts'
import { allHealthy, instancesIn, Operator, serviceIn } from './operator.ts'

/** Says its role and term; counts POSTs in a file, so that one done twice shows; ends in order. */
const ONE = `import { appendFileSync, readFileSync } from 'node:fs'
  import { createServer } from 'node:http'
  const { PORT, HOST, UNDERSTUDY_ROLE, UNDERSTUDY_TERM, UNDERSTUDY_TERM_FILE, UNDERSTUDY_NODE } = process.env
  let role = UNDERSTUDY_ROLE
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (data) => (body += data))
    request.on('end', () => {
      if (request.url === '/promote') role = JSON.parse(body).role, console.log('promoted by http ' + body)
      else if (request.method === 'POST') appendFileSync(process.env.POSTS, request.headers['x-id'] + '\\n')
      response.end(role + ' ' + UNDERSTUDY_NODE)
    })
  }).listen(PORT, HOST, () => console.log('listening ' + role + ' ' + UNDERSTUDY_TERM))
  process.on('SIGUSR1', () => { role = 'primary'; console.log('promoted by signal ' + readFileSync(UNDERSTUDY_TERM_FILE, 'utf8').trim()) })
  process.on('SIGTERM', () => server.close(() => process.exit(0)))`

let operator: Operator
let loads: Load[] = []

beforeAll(async () => {
  operator = new Operator()
  operator.write('one.mjs', ONE)
  const posts = join(operator.folder, 'posts')
  const one = `run: 'node one.mjs', redundancy: 'active-passive', instances: 2, healthy: '/', env: { POSTS: '${posts}' }`
  operator.config(`
    web: http({ run: 'node one.mjs', instances: 2, listen: 8080, healthy: '/', env: { POSTS: '${posts}' } }),
    cold: http({ ${one}, listen: 8081 }),
    hook: http({ ${one}, listen: 8082, standby: 'warm', promote: { http: '/promote' } }),
    told: http({ ${one}, listen: 8083, standby: 'warm', promote: { signal: 'SIGUSR1' } }),
    after: command({ run: 'node -e "console.log(Date.now()); setInterval(() => {}, 1000)"', instances: 1, needs: ['web'] }),`)
  expect(await operator.run('up', '--detach')).toMatchObject({ code: 0 })
  await settled()
}, 90_000)
afterAll(() => operator.close())
afterEach(async () => {
  for (const load of loads.splice(0)) await load.stop()
})

function settled() {
  return operator.until('all is well', (status) => {
    const warm = ['hook', 'told'].every(
      (name) => instancesIn(status, name).filter(({ healthy }) => healthy).length === 2,
    )
    return allHealthy(status) && warm && instancesIn(status, 'web').filter(({ healthy }) => healthy).length === 2
  })
}

function customers(port: number, nodes = ['a', 'b', 'c']): { leave(): Promise<{ gets: Shot[]; posts: Shot[] }> } {
  const urls = nodes.map((node) => `http://${operator.address(node)}:${port}/`)
  const gets = startLoad({ urls, method: 'GET', perSecond: 50 })
  const named = (index: number) => ({ 'x-id': `${port}-${gets.beganMs}-${index}` })
  const posts = startLoad({ urls, method: 'POST', perSecond: 20, body: (index) => `${index}`, headers: named })
  loads.push(gets, posts)
  return {
    leave: async () => {
      loads = []
      return { gets: [...(await gets.stop())], posts: [...(await posts.stop())] }
    },
  }
}

function expectNobodyNoticed(what: string, { gets, posts }: { gets: Shot[]; posts: Shot[] }): void {
  const { slowestMs, medianMs } = summarize([...gets, ...posts])
  console.log(
    `${what}: ${gets.length} GET, ${gets.filter(failed).length} failed, ${posts.length} POST, ${posts.filter(failed).length} failed, ` +
      `longest pause ${slowestMs.toFixed(0)} ms, median ${medianMs.toFixed(1)} ms`,
  )
  expect([...gets, ...posts].filter(failed)).toEqual([])
  const done = readFileSync(join(operator.folder, 'posts'), 'utf8').split('\n').slice(0, -1)
  expect(new Set(done).size, 'no POST was done twice').toBe(done.length)
}

describe('a switchover under load holds the clients and fails none', () => {
  for (const [name, port] of [
    ['cold', 8081],
    ['hook', 8082],
    ['told', 8083],
  ] as const) {
    it(`${name}: GET and POST through every balancer`, async () => {
      const before = serviceIn(await settled(), name)
      const visitors = customers(port)
      await sleep(clock, 500)
      const moved = await operator.run('switchover', name)
      expect(moved.code, moved.err).toBe(0)
      const after = serviceIn(await settled(), name)
      await sleep(clock, 500)
      const shots = await visitors.leave()
      expectNobodyNoticed(`switchover of ${name}`, shots)
      expect(after.primary).not.toBe(before.primary)
      expect(after.term).toBe(before.term + 1)
      const last = shots.gets.findLast(({ status }) => status === 200)?.body
      expect(last).toBe(`primary ${after.primary}`)
    })
  }

  it('the standby was told in the way that the config says, with its term', async () => {
    const hook = await operator.run('logs', 'hook', '-n', '100')
    expect(hook.out).toMatch(/promoted by http \{"role":"primary","term":\d+\}/)
    expect((await operator.run('logs', 'told', '-n', '100')).out).toMatch(/promoted by signal \d+/)
  })
})

describe('kill -9 of a primary with a warm standby', () => {
  it('the standby takes over, and the clients see a pause', async () => {
    const before = serviceIn(await settled(), 'hook')
    const urls = ['a', 'b', 'c'].map((node) => `http://${operator.address(node)}:8082/`)
    const gets = startLoad({ urls, method: 'GET', perSecond: 50 })
    loads.push(gets)
    await sleep(clock, 500)
    const victim = before.instances.find(({ role }) => role === 'primary')
    process.kill(victim?.pid ?? 0, 'SIGKILL')
    const status = await operator.until('the other one leads', (now) => {
      const { primary, healthy } = serviceIn(now, 'hook')
      return healthy && primary !== before.primary
    })
    expect(serviceIn(status, 'hook').why).toMatch(/is the primary of hook in term/)
    // It leads before the last word about it is said, and each node says its own.
    const told = async () => {
      const { recent } = await operator.why('hook')
      return recent.map(({ rule, kind, why }) => `${rule} ${kind} ${why}`).join('\n')
    }
    await expect
      .poll(told, { timeout: 10_000 })
      .toMatch(/^primary-down noticed the primary of hook on . is down: killed by SIGKILL after/m)
    await expect.poll(told, { timeout: 10_000 }).toMatch(/^primary-down done hook is back on . \d+ ms after/m)
    await sleep(clock, 500)
    loads = []
    const shots = await gets.stop()
    expectNobodyNoticed('kill -9 of a primary, warm', { gets: [...shots], posts: [] })
  })
})

describe('drain', () => {
  it('moves everything off the node while customers call, refuses switchovers to it, and undrain brings it back', async () => {
    const status = await settled()
    const node = serviceIn(status, 'cold').primary ?? ''
    const web = customers(8080)
    const cold = customers(8081)
    await sleep(clock, 300)
    expect(await operator.run('drain', node)).toMatchObject({ code: 0 })
    await operator.until('nothing of it is left', (now) =>
      now.services.every((service) => {
        const here = service.instances.filter((one) => one.node === node && one.state !== 'stopped')
        return here.length === 0 && service.healthy
      }),
    )
    expect(await operator.run('switchover', 'cold', '--to', node)).toMatchObject({
      code: 3,
      err: expect.stringContaining(`${node} cannot become primary: it is drained`),
    })
    expect((await operator.run('status')).out).toMatch(/alive, drained[\s\S]*understudy undrain/)
    expect(await operator.run('undrain', node)).toMatchObject({ code: 0 })
    await settled()
    await sleep(clock, 300)
    expectNobodyNoticed('drain and undrain, web', await web.leave())
    expectNobodyNoticed('drain and undrain, cold', await cold.leave())
  })
})

describe('looking on', () => {
  it('events -f --json and logs -f go on with what happens', async () => {
    const events = operator.start('events', '-f', '--json', '-n', '1')
    const logs = operator.start('logs', 'web', '-f', '-n', '1')
    // What they begin with shows that they look on.
    await expect.poll(events.output, { timeout: 15_000 }).not.toBe('')
    await expect.poll(logs.output, { timeout: 15_000 }).not.toBe('')
    const before = logs.output()
    const victim = instancesIn(await settled(), 'web')[0]
    process.kill(victim?.pid ?? 0, 'SIGKILL')
    await expect.poll(events.output, { timeout: 15_000 }).toContain('is down: killed by SIGKILL')
    const since = () => logs.output().slice(before.length)
    await expect.poll(since, { timeout: 15_000 }).toMatch(new RegExp(`${victim?.node} \\| listening active`))
    for (const { child, ended } of [events, logs]) {
      child.kill('SIGINT')
      await ended
    }
    const lines = events.output().trimEnd().split('\n')
    const parsed = lines.map((line) => JSON.parse(line) as EventRecord)
    expect(parsed.every(({ id, rule, why }) => id && rule && why)).toBe(true)
  })
})

describe('down', () => {
  it('ends all of it in order, and is over when nothing of it lives', async () => {
    const status = await settled()
    const pids = [
      ...status.nodes.flatMap(({ agentPid, balancerPid, fencePid }) => [agentPid, balancerPid, fencePid]),
      ...status.services.flatMap(({ instances }) => instances.map(({ pid }) => pid)),
    ].filter((pid) => pid !== null)
    const ours = pids.map((pid) => identify(pid)).filter((one) => one !== undefined)
    expect(ours.length).toBeGreaterThan(9)
    // One customer says nothing more and stays: a balancer waits for it, but not for ever.
    const idle = connect(8080, operator.address('a'))
    await once(idle, 'connect')
    expect(await operator.run('down')).toMatchObject({ code: 0, out: 'Stopped. Nothing had to be killed.\n' })
    expect(ours.filter((one) => isAlive(one))).toEqual([])
    idle.destroy()
    expect(await operator.run('status')).toMatchObject({ code: 7 })
  })
})
