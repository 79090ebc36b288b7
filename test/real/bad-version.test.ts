/**
 * A bad version is rolled out: one that ends, one that never becomes healthy, one that is healthy for 5 s and then not. It is
 * started on one node and on no other, clients are served all the time, and events and status say what happened. Where the
 * config asks for it the version before comes back by itself.
 *
 * Exercises: api, balancer, client, drivers/process, local, stores. Engines: none.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { isUp } from '../../src/api/closed-endpoints.ts'
import type { Status } from '../../src/client/index.ts'
import { http } from '../../src/index.ts'
import { systemClock as clock, sleep } from '../../src/lib/clock.ts'
import { failed, type Load, type Shot, startLoad } from '../../src/lib/steady-load.ts'
import { PROGRAMS, serviceOf, startCluster, type TestCluster, wellInstances } from './cluster.ts'

/** Longer than the 5 s for which one bad version is healthy: the next instance goes after it. */
const PAUSE = '7s'
/** A machine that has time needs a third of it. */
const TOLD_WITHIN_MS = 60_000
const BAD = ['crashes', 'never-healthy', 'sours'] as const
const PORTS = { stops: 8080, returns: 8081, writer: 8082, alone: 8083 } as const
type Name = keyof typeof PORTS
const NAMES = Object.keys(PORTS) as Name[]

let cluster: TestCluster
let loads: Load[] = []
let since = 0

beforeAll(async () => {
  cluster = await startCluster((data) => {
    const one = (name: Name, onFailure: 'stop' | 'rollback') => ({
      run: `node ${join(PROGRAMS, 'versioned-web.mjs')}`,
      instances: 3,
      listen: PORTS[name],
      healthy: '/healthz',
      env: { DATA: data, VERSION: 'good' },
      update: { pause: PAUSE, onFailure } as const,
      startWithin: '2s' as const,
      unhealthyFor: '1s' as const,
    })
    // While a single writer is replaced its clients wait: longer than a bad version needs to show that it is bad.
    const alone = { redundancy: 'active-passive', hold: '20s' } as const
    return {
      stops: http(one('stops', 'stop')),
      returns: http(one('returns', 'rollback')),
      writer: http({ ...one('writer', 'rollback'), ...alone }),
      alone: http({ ...one('alone', 'stop'), ...alone }),
    }
  })
  await cluster.until('all run', isWhole, TOLD_WITHIN_MS)
}, 90_000)

afterAll(() => cluster.stop())

beforeEach(async () => {
  for (const name of NAMES) await apply(name, 'good') // what a test that failed left behind
  await cluster.until('all run the good version', isWhole, TOLD_WITHIN_MS)
  since = Date.now()
}, 90_000)

afterEach(async () => {
  for (const load of loads) await load.stop()
  loads = []
})

function isWhole(status: Status): boolean {
  return status.services.every((service) => {
    const complete = service.healthy && service.redundancyState.state === 'redundant' && !service.rollout
    return complete && isUp(status, service)
  })
}

/** Applies a config in which one service has another version; resolves to the number of the config before. */
async function apply(name: Name, version: string): Promise<number> {
  const { client } = cluster.local
  const { number, spec } = await client.config()
  const services = spec.services.map((service) => {
    const { env, ...options } = service.options as { readonly env: Record<string, string> }
    return service.name === name ? { ...service, options: { ...options, env: { ...env, VERSION: version } } } : service
  })
  await client.apply({ spec: { ...spec, services }, expect: number, version: 'test', message: version })
  return number
}

function visit(name: Name): void {
  const urls = ['a', 'b', 'c'].map((node) => `${cluster.balancer(node, PORTS[name])}/`)
  loads = [startLoad({ urls, method: 'GET', perSecond: 60 }), startLoad({ urls, method: 'POST', perSecond: 20 })]
}

async function expectAllServed(): Promise<Shot[]> {
  await sleep(clock, 500) // some more of them come to what is there now
  const shots = (await Promise.all(loads.map((load) => load.stop()))).flat()
  expect(shots.filter(failed)).toEqual([])
  expect(shots.length).toBeGreaterThan(0)
  return shots
}

/** The nodes on which this version of a service was started. */
function startsOf(name: Name, version: string): string[] {
  const starts = readFileSync(join(cluster.data, 'starts'), 'utf8').split('\n').slice(0, -1)
  return [
    ...new Set(starts.flatMap((line) => (line.startsWith(`${name} ${version} `) ? line.split(' ').slice(2) : []))),
  ]
}

/** The first event of a rule since the test began. */
async function told(rule: string, name: Name): Promise<{ readonly why: string }> {
  const find = async () => {
    const events = await cluster.local.client.events()
    return events.find((one) => one.rule === rule && one.service === name && Date.parse(one.at) >= since)
  }
  const deadline = clock.mono() + TOLD_WITHIN_MS
  for (;;) {
    const event = await find()
    if (event) return event
    if (clock.mono() > deadline) await cluster.until(`an event ${rule}`, () => false, 0)
    await sleep(clock, 50)
  }
}

const NOTES = { crashes: /code 3/, 'never-healthy': /did not become|unhealthy|503/, sours: /unhealthy|503/ }

describe('an active-active service, of which every instance serves', () => {
  test.each(BAD)('a version that is bad (%s) stops the roll-out after one instance', async (version) => {
    visit('stops')
    const before = await apply('stops', version)
    const event = await told('rollout-stopped', 'stops')
    expect(event.why).toMatch(/^the new instance of stops on [abc] failed: /)
    expect(event.why).toMatch(NOTES[version])

    const status = await cluster.until(
      'the status says that it stopped',
      (now) => serviceOf(now, 'stops').rollout?.state === 'stopped',
    )
    expect(serviceOf(status, 'stops').rollout).toMatchObject({ updated: 0, of: 3, why: event.why })
    // All but the one that was tried serve, and go on to.
    await sleep(clock, 1_500)
    const nodes = startsOf('stops', version)
    expect(nodes).toHaveLength(1)
    const others = wellInstances(await cluster.status(), 'stops').filter(({ node }) => node !== nodes[0])
    expect(others).toHaveLength(2)

    await cluster.local.client.rollback({ to: before })
    await cluster.until('the version before is back', isWhole, TOLD_WITHIN_MS)
    const shots = await expectAllServed()
    if (version === 'never-healthy') expect(shots.filter(({ body }) => body.startsWith(version))).toEqual([])
    expect(startsOf('stops', version)).toEqual(nodes)
  })

  test.each(BAD)('with onFailure: rollback the version before comes back by itself (%s)', async (version) => {
    visit('returns')
    const before = await apply('returns', version)
    const event = await told('rollout-undone', 'returns')
    expect(event.why).toMatch(/returns/)
    await cluster.until('the version before is back', isWhole, TOLD_WITHIN_MS)
    await expectAllServed()
    expect(startsOf('returns', version)).toHaveLength(1)
    const { number, by, message, spec } = await cluster.local.client.config()
    expect(number).toBe(before + 2)
    expect(by).toMatch(/^agent of [abc]$/)
    expect(message).toContain(`returns back to config ${before}`)
    expect(spec.services).toEqual((await cluster.local.client.config(before)).spec.services)
  })
})

describe('a single writer with cold standbys', () => {
  test.each(BAD)('with onFailure: rollback the version before comes back by itself (%s)', async (version) => {
    visit('writer')
    const before = await apply('writer', version)
    await told('rollout-undone', 'writer')
    await cluster.until('the version before is back', isWhole, TOLD_WITHIN_MS)
    await expectAllServed()
    expect((await cluster.local.client.config()).message).toContain(`writer back to config ${before}`)
    const answers = await Promise.all(['a', 'b', 'c'].map((node) => fetch(cluster.balancer(node, PORTS.writer))))
    for (const answer of answers) expect(await answer.text()).toMatch(/^good /)
  })

  test('without it the status says that the roll-out stopped, and aborting it brings the service back', async () => {
    await apply('alone', 'crashes')
    const { why } = await told('rollout-stopped', 'alone')
    expect(why).toMatch(/^the new instance of alone on [abc] failed: .*code 3/)
    await cluster.until('the status says so', (now) => serviceOf(now, 'alone').rollout?.state === 'stopped')
    await cluster.local.client.abort()
    await cluster.until('the version before is back', isWhole, TOLD_WITHIN_MS)
  })
})
