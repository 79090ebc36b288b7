/**
 * What makes the answers honest: the same failure in the simulator, where the real agents run with a network, processes and
 * a store that are late and lose things, must end with the same nodes serving, and must not take longer.
 */
import { describe, expect, it } from 'vitest'
import type { ClusterSpec, ServiceSpec } from '../src/core/model.ts'
import { type MadeUpService, madeUpCluster } from '../src/sim/made-up-cluster.ts'
import { unsettled } from '../src/sim/settled.ts'
import { World } from '../src/sim/sim-world.ts'
import { STORE } from '../src/sim/store-handle.ts'
import type { Failure } from '../src/whatif/failure.ts'
import { WhatIf } from '../src/whatif/whatif.ts'

/** Programs of the simulator are healthy after 80 ms, give or take a half, and seen to be so at the next check. */
const START_MS = 80 * 1.5 + 250
/** What happens to an agent there and is no part of the answer: messages under way, turns, the jitter of its timers. */
const SLACK_MS = 600

const clusters: Readonly<Record<string, ClusterSpec>> = {
  'a shop on three nodes': made(['a:north', 'b:south', 'c:west'], [web(2), worker(3, 'cold')]),
  'a warm standby': made(['a:north', 'b:south', 'c:west'], [web(3), worker(2, 'warm')]),
  'two of three in one zone': made(['a:north', 'b:north', 'c:south'], [web(2), api(2)]),
  'two nodes': made(['a:north', 'b:south'], [web(1), worker(2, 'cold')]),
  'five nodes': made(['a:north', 'b:north', 'c:south', 'd:south', 'e:west'], [web(3), worker(3, 'warm')]),
}

describe.each(Object.entries(clusters))('%s', (_, cluster) => {
  const plain = new WhatIf({ cluster })
  const singles = plain.failures.filter(({ kind }) => kind !== 'balancer') // the simulator has no balancers that end

  it.each(singles.map((failure) => [failure.label, failure] as const))('%s', async (_, failure) => {
    await compare(cluster, [failure])
  })

  it('some pairs', async () => {
    const pairs = singles.flatMap((one, index) => singles.slice(index + 1).map((other) => [one, other]))
    for (const [index, pair] of pairs.entries()) if (index % 8 === 0) await compare(cluster, pair)
  })
})

async function compare(cluster: ClusterSpec, failures: readonly Failure[]): Promise<void> {
  const world = new World({ cluster, seed: 7 })
  world.start()
  const isCalm = () => world.nowMs > 3_000 && unsettled(world).length === 0
  await world.clock.runUntil(20_000, isCalm)
  expect(unsettled(world)).toEqual([])
  const led = cluster.services.flatMap(({ name }) => {
    const primary = world.primaryOf(name)
    return primary ? [[name, primary.node] as const] : []
  })
  const whatif = new WhatIf({ cluster, assumed: { startMs: START_MS }, primaries: Object.fromEntries(led) })
  const before = Object.fromEntries(cluster.services.map((service) => [service.name, servedIn(world, service)]))
  const standing = whatif.inquiry.standing()
  const expected = cluster.services.map(({ name }) => [name, servingOf(cluster, name, standing.get(name) ?? [], led)])
  expect(before, 'who serves before').toEqual(Object.fromEntries(expected))
  for (const failure of failures) fail(world, failure)
  const awayMs = await watch(world, cluster, 10_000)
  for (const { service, by, order, pauseMs } of whatif.row(failures).outcomes) {
    const spec = cluster.services.find(({ name }) => name === service)
    if (!spec) continue
    const serving = servedIn(world, spec)
    // Two failures can leave two candidates whose turn comes at once: then it is chance who of them is first.
    const mayDiffer = failures.length > 1 && order.length > 1 && serving.length === 1 && by.length === 1
    const what = `${service} after ${failures.map(({ label }) => label)}`
    if (mayDiffer) expect(order, what).toEqual(expect.arrayContaining(serving))
    else expect(serving, what).toEqual(by)
    if (pauseMs !== null)
      expect(awayMs.get(service) ?? 0, `how long ${service} was away`).toBeLessThanOrEqual(pauseMs + SLACK_MS)
  }
}

function fail(world: World, { kind, effect }: Failure): void {
  if (kind === 'store') world.store.condition = 'away'
  for (const node of effect.nodes) world.killNode(node)
  for (const cut of effect.cuts) {
    const [a = STORE, b = STORE] = cut.split(' ')
    world.cut(a, b)
  }
  for (const instance of effect.instances) {
    const [node = '', service = ''] = instance.split(' ')
    const process = world.processOf(service, node)
    if (process) world.node(node).processes.kill(process)
  }
}

/** Until nothing more is expected; how long each service was away in all. */
async function watch(world: World, { services }: ClusterSpec, forMs: number): Promise<ReadonlyMap<string, number>> {
  const away = new Map<string, number>()
  for (let step = 0; step < forMs / 10; step += 1) {
    await world.clock.advance(10)
    for (const service of services) {
      if (servedIn(world, service).length === 0) away.set(service.name, (away.get(service.name) ?? 0) + 10)
    }
  }
  return away
}

function servedIn(world: World, { name, redundancy }: ServiceSpec): string[] {
  const role = redundancy === 'active-passive' ? 'primary' : 'active'
  return [...world.nodes.values()]
    .filter((node) => {
      const process = node.processes.of(name)
      return process?.role === role && node.processes.isWell(process)
    })
    .map((node) => node.name)
}

function servingOf(
  cluster: ClusterSpec,
  name: string,
  nodes: readonly string[],
  led: readonly (readonly [string, string])[],
) {
  const spec = cluster.services.find((service) => service.name === name)
  return spec?.redundancy === 'active-passive'
    ? led.filter(([service]) => service === name).map(([, node]) => node)
    : nodes
}

function made(nodes: readonly string[], services: readonly MadeUpService[]): ClusterSpec {
  return madeUpCluster(
    nodes.map((text) => ({ name: text.slice(0, 1), zone: text.slice(2) })),
    services,
  )
}

function web(instances: number): MadeUpService {
  return { name: 'web', kind: 'http', redundancy: 'active-active', instances, standby: 'cold' }
}

function worker(instances: number, standby: 'warm' | 'cold'): MadeUpService {
  return { name: 'worker', kind: 'command', redundancy: 'active-passive', instances, standby }
}

function api(instances: number): MadeUpService {
  return { name: 'api', kind: 'http', redundancy: 'active-passive', instances, standby: 'cold' }
}
