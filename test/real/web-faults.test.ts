/**
 * What clients of an active-active web service see when one of its instances, a whole node or an agent dies under a load
 * of 200 GET/s and 50 POST/s. Real processes, real signals, defaults untouched.
 *
 * Exercises: api, balancer, client, drivers/process, local, stores. Engines: none. Fast.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isUp } from '../../src/api/closed-endpoints.ts'
import { http } from '../../src/index.ts'
import { systemClock as clock, sleep } from '../../src/lib/clock.ts'
import { identify, isAlive } from '../../src/lib/proc.ts'
import { failed, type Load, type Shot, startLoad, summarize } from '../../src/lib/steady-load.ts'
import { until } from '../../src/lib/until.ts'
import { PROGRAMS, serviceOf, startCluster, type TestCluster, wellInstances } from './cluster.ts'
import { type Slowness, watchSlowness } from './slowness.ts'

/** How many processes a request waits for, each of which may be late: the customer's own, a balancer, an instance. */
const ON_THE_WAY = 3

let cluster: TestCluster

beforeEach(async () => {
  cluster = await startCluster((data) => ({
    web: http({
      run: `node ${join(PROGRAMS, 'ledger-web.mjs')}`,
      instances: 3,
      listen: 8080,
      healthy: '/',
      env: { DATA: data },
    }),
    pair: http({
      run: `node ${join(PROGRAMS, 'ledger-web.mjs')}`,
      instances: 2,
      listen: 8081,
      healthy: '/',
      env: { DATA: data },
    }),
  }))
  await cluster.until(
    'everything is healthy',
    (status) =>
      wellInstances(status, 'web').length === 3 &&
      wellInstances(status, 'pair').length === 2 &&
      status.services.every((service) => isUp(status, service)),
    30_000,
  )
})

afterEach(() => cluster.stop())

class Customers {
  readonly began = performance.now()
  readonly #gets: Load
  readonly #posts: Load
  readonly #slowness: Slowness

  constructor(nodes: readonly string[]) {
    this.#slowness = watchSlowness()
    const urls = nodes.map((node) => `${cluster.balancer(node)}/`)
    this.#gets = startLoad({ urls, method: 'GET', perSecond: 200 })
    this.#posts = startLoad({
      urls,
      method: 'POST',
      perSecond: 50,
      body: (index) => `order ${index}`,
      headers: (index) => ({ 'x-id': `post-${index}` }),
    })
  }

  /** On the clock of the shots. */
  now(): number {
    return performance.now() - this.began
  }

  /** `slowMs`: by how much the machine was slower than a quiet one, at most, while they were there. */
  async leave(): Promise<{ gets: readonly Shot[]; posts: readonly Shot[]; slowMs: number }> {
    const [gets, posts] = await Promise.all([this.#gets.stop(), this.#posts.stop()])
    return { gets, posts, slowMs: await this.#slowness.ms() }
  }
}

interface Known {
  /** When the fault began to be done: what ended before that has nothing to do with it. */
  readonly faultAtMs: number
  /** When it was known by: nothing that was sent later may fail. */
  readonly byMs: number
}

/** Every POST was done at most once; the failed ones were under way when the fault came, not sent after it was known. */
function expectHonestPosts(posts: readonly Shot[], { faultAtMs, byMs }: Known): void {
  const done = readFileSync(join(cluster.data, 'posts'), 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split(' ')[0])
  expect(new Set(done).size, 'no POST was done twice').toBe(done.length)
  for (const shot of posts.filter(failed)) {
    expect(shot.atMs, `POST ${shot.index} (${shot.status} ${shot.error})`).toBeLessThan(byMs)
    expect(shot.atMs + shot.tookMs, 'a failed POST was open when the fault came').toBeGreaterThan(faultAtMs)
  }
}

async function pidOf(service: string, node?: string): Promise<{ pid: number; node: string }> {
  const victim = wellInstances(await cluster.status(), service).find(
    (instance) => node === undefined || instance.node === node,
  )
  if (!victim?.pid) throw new Error(`no healthy instance of ${service}`)
  return { pid: victim.pid, node: victim.node }
}

function report(what: string, gets: readonly Shot[], posts: readonly Shot[], slowMs: number): void {
  const { requests, slowestMs, medianMs } = summarize(gets)
  console.log(
    `${what}: ${requests} GET, ${gets.filter(failed).length} failed, slowest ${slowestMs.toFixed(0)} ms, median ${medianMs.toFixed(1)} ms; ` +
      `${posts.length} POST, ${posts.filter(failed).length} failed; the machine was ${slowMs.toFixed(0)} ms slow`,
  )
}

describe('under 200 GET/s and 50 POST/s', () => {
  it('kill -9 of an instance fails no GET and costs no GET more than 200 ms', async () => {
    const customers = new Customers(['a', 'b', 'c'])
    await sleep(clock, 2_000)
    const { pid } = await pidOf('web')
    const identity = identify(pid)
    const faultAtMs = customers.now()
    process.kill(pid, 'SIGKILL')
    // Until it is gone its socket takes what is sent to it: those POSTs were on their way when it died.
    await until({ clock, everyMs: 1, withinMs: 10_000, what: 'its end' }, () => !identity || !isAlive(identity))
    const goneAtMs = customers.now()
    await cluster.until(
      'a new instance is healthy',
      (now) => wellInstances(now, 'web').length === 3 && wellInstances(now, 'web').every((one) => one.pid !== pid),
    )
    await sleep(clock, 1_500)
    const { gets, posts, slowMs } = await customers.leave()
    report('kill -9', gets, posts, slowMs)
    expect(gets.filter(failed)).toEqual([])
    expect(summarize(gets).slowestMs).toBeLessThan(200 + ON_THE_WAY * slowMs)
    expectHonestPosts(posts, { faultAtMs, byMs: goneAtMs + 100 + ON_THE_WAY * slowMs })
    expect((await cluster.service('web')).why).toContain('3 of 3')
    expect((await cluster.local.client.why('web')).recent).toContainEqual(
      expect.objectContaining({ rule: 'instance-down', kind: 'noticed', why: expect.stringContaining('SIGKILL') }),
    )
  })

  it('SIGSTOP of an instance fails no GET and costs no GET a second', async () => {
    const customers = new Customers(['a', 'b', 'c'])
    await sleep(clock, 2_000)
    const { pid, node } = await pidOf('web')
    const faultAtMs = customers.now()
    process.kill(pid, 'SIGSTOP')
    await cluster.until(
      'the hung instance was replaced',
      (now) => wellInstances(now, 'web').length === 3 && wellInstances(now, 'web').every((one) => one.pid !== pid),
    )
    await sleep(clock, 1_500)
    const { gets, posts, slowMs } = await customers.leave()
    report('SIGSTOP', gets, posts, slowMs)
    expect(gets.filter(failed)).toEqual([])
    expect(summarize(gets).slowestMs).toBeLessThan(1_000 + ON_THE_WAY * slowMs)
    expectHonestPosts(posts, { faultAtMs, byMs: faultAtMs + 1_000 + ON_THE_WAY * slowMs })
    const events = await cluster.local.client.events()
    expect(events.find(({ rule }) => rule === 'instance-unhealthy')).toMatchObject({
      node,
      why: expect.stringContaining('SIGSTOP'),
    })
  })

  it('loss of a node fails no GET at the other balancers, and its instances are placed elsewhere when asked for', async () => {
    const { node } = await pidOf('pair')
    const living = ['a', 'b', 'c'].filter((name) => name !== node)
    const customers = new Customers(living)
    await sleep(clock, 2_000)
    const faultAtMs = customers.now()
    await cluster.local.killNode(node)
    const lostAtMs = customers.now()
    const moved = await cluster.until(
      'both copies of pair are on living nodes',
      (now) => wellInstances(now, 'pair').filter((one) => living.includes(one.node)).length === 2,
    )
    await sleep(clock, 1_500)
    const { gets, posts, slowMs } = await customers.leave()
    report('node lost', gets, posts, slowMs)
    expect(gets.filter(failed)).toEqual([])
    expectHonestPosts(posts, { faultAtMs, byMs: lostAtMs + 200 + ON_THE_WAY * slowMs })
    expect(moved.nodes.find(({ name }) => name === node)).toMatchObject({ alive: false, state: 'lost' })
    expect(serviceOf(moved, 'web').why).toMatch(/2 of 3 .*too few nodes/)

    cluster.local.startNode(node)
    await cluster.until(
      'the node is back and everything where it belongs',
      (now) => wellInstances(now, 'web').length === 3 && wellInstances(now, 'pair').length === 2,
    )
  })

  it('ten kills of agents fail no request and change no process', async () => {
    const pidsBefore = wellInstances(await cluster.status(), 'web').map(({ pid }) => pid)
    const customers = new Customers(['a', 'b', 'c'])
    await sleep(clock, 1_000)
    for (let round = 0; round < 10; round++) {
      const node = ['a', 'b', 'c'][round % 3] ?? 'a'
      const agentBefore = (await cluster.status()).nodes.find(({ name }) => name === node)?.agentPid
      expect(cluster.local.killAgent(node)).toBe(true)
      await cluster.until('another agent has taken over', ({ nodes }) =>
        nodes.every((one) => one.alive && (one.name !== node || one.agentPid !== agentBefore)),
      )
    }
    await cluster.until('all instances are known again', (now) => wellInstances(now, 'web').length === 3)
    const { gets, posts, slowMs } = await customers.leave()
    report('ten agents killed', gets, posts, slowMs)
    expect([...gets, ...posts].filter(failed)).toEqual([])
    expect(wellInstances(await cluster.status(), 'web').map(({ pid }) => pid)).toEqual(pidsBefore)
  })
})
