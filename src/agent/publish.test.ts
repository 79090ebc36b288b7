import { expect, test } from 'vitest'
import { cluster, running, view, web } from '../../test/made-up.ts'
import type { ClusterSpec, ServiceSpec } from '../core/model.ts'
import type { RoutingTable } from '../core/routing-table.ts'
import { VirtualClock } from '../lib/virtual-clock.ts'
import type { World } from './agent-ports.ts'
import { Publisher } from './publish.ts'

const BEFORE = cluster([web(), web({ name: 'api' })])
const instances = { web: running('web'), api: running('api') }

/** The tables that a balancer got while the agent saw these configs, one after the other, and nothing else changed. */
function toldOf(...configs: readonly ClusterSpec[]): RoutingTable[] {
  const told: RoutingTable[] = []
  const balancer = { publish: (table: RoutingTable) => told.push(table) }
  const publisher = new Publisher({ clock: new VirtualClock(), balancer } as unknown as World, 'a')
  for (const config of configs) {
    const now = view({ cluster: config, local: { instances, startedAgoMs: 60_000 } })
    publisher.routes(now)
  }
  return told
}

const withWeb = (given: Partial<ServiceSpec>): ClusterSpec => ({
  ...BEFORE,
  services: BEFORE.services.map((one) => (one.name === 'web' ? { ...one, ...given } : one)),
})

test('as long as the config is the same and leads to the same targets, nothing is told', () => {
  expect(toldOf(BEFORE, BEFORE, BEFORE)).toHaveLength(1)
})

test.each([
  ['another port', { endpoints: [{ purpose: 'serving', protocol: 'http', port: 9090 }] }, { port: 9090 }],
  ['another hold', { timing: { ...web().timing, holdMs: 77 } }, { holdMs: 77 }],
  ['a stop by an operator', { stopped: true }, { holdMs: 0 }],
] as const)('%s is told, although each target is the same', (_, given, told) => {
  expect(toldOf(BEFORE, withWeb(given)).at(-1)?.routes[0]).toMatchObject(told)
})

test('a service that was removed has no route any more, although the others are the same', () => {
  const one = { ...BEFORE, services: BEFORE.services.slice(0, 1) }
  expect(
    toldOf(BEFORE, one)
      .at(-1)
      ?.routes.map(({ service }) => service),
  ).toEqual(['web'])
})
