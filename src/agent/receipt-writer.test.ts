/** Receipts of services that the config does not name any more. */
import { expect, test } from 'vitest'
import { cluster, copy, database, led, running, stopped, view, worker } from '../../test/made-up.ts'
import type { InstanceReport, ServiceSpec } from '../core/model.ts'
import type { QuorumConfig } from '../core/replicated/quorum-config.ts'
import type { View } from '../core/view.ts'
import { Receipts } from './receipt-writer.ts'

const QUORUMS: QuorumConfig[] = [
  { id: 'one', term: 1, primary: 'b', standbys: ['a'], k: 1 },
  { id: 'two', term: 2, primary: 'a', standbys: ['b'], k: 1 },
] as const
const VACANCY = {
  by: 'a',
  rule: 'primary-lost',
  why: 'b is lost',
  noticedAt: 1_699_999_990_000,
} as const
const LED = { replica: { phase: 'serving', by: 'a', quorumConfigs: QUORUMS }, vacancy: VACANCY } as const
const PRIMARY = running('db', { role: 'primary', term: 2, replica: copy({ quorumDurable: true }) })
const NO_BALANCER = { sessions: [], leadsTo: () => false }

function seen(
  services: readonly ServiceSpec[],
  instances: readonly InstanceReport[],
  store = led('db', 'a', 2, LED),
): View {
  const own = Object.fromEntries(instances.map((one) => [one.service, one]))
  return view({ cluster: cluster(services), store, local: { instances: own } })
}

test('the receipt of a failover is dropped when its service is removed, and others are written', () => {
  let now = 1_700_000_000_000
  const receipts = new Receipts('a', () => now)
  receipts.ledAgain('db', 2, seen([database(), worker()], [PRIMARY]))
  const down = {
    rule: 'instance-down',
    service: 'worker',
    why: 'worker is down',
    evidence: 'first-hand',
    steps: [],
  } as const
  receipts.note([down], seen([database(), worker()], [PRIMARY, stopped('worker', { failures: 1 })]))
  receipts.mark('worker', 'started')
  now += 500
  const removed = seen([worker()], [PRIMARY, running('worker', { role: 'standby' })])
  expect(receipts.see(removed, NO_BALANCER)).toMatchObject([{ service: 'worker', kind: 'repair' }])
  now += 60_000
  expect(receipts.see(seen([database()], [PRIMARY]), NO_BALANCER)).toEqual([])
})

test('a service of the same name begins without the moments of the one that was removed', () => {
  let now = 1_700_000_000_000
  const receipts = new Receipts('a', () => now)
  const open = { sessions: [], leadsTo: () => true }
  const both = seen([database()], [PRIMARY])
  receipts.see(both, open)
  receipts.see(seen([], []), open)
  receipts.ledAgain('db', 2, both)
  now += 100
  expect(receipts.see(both, NO_BALANCER)).toEqual([]) // its endpoint is not open yet
})
