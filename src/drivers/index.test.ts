import { expect, it } from 'vitest'
import type { ServiceSpec } from '../core/model.ts'
import { VirtualClock } from '../lib/virtual-clock.ts'
import { createDriver } from './index.ts'

it('a kind that no driver knows is an error that lists those that are known', () => {
  for (const kind of ['postgres-like', 'toString']) {
    const service = { name: 'x', kind } as ServiceSpec
    const node = { name: 'a', address: '127.0.0.1', zone: 'z', region: 'r' }
    const parts = {
      cluster: 'c',
      node,
      service,
      nodeDir: '/nowhere',
      clock: new VirtualClock(),
      random: () => 0,
      loopLagMs: () => 0,
      balancersHeard: () => true,
      balancersWentAhead: () => true,
      holdProgress: () => 'still' as const,
      secretFor: () => 'a secret',
    }
    expect(() => createDriver(parts)).toThrow(/there are: http, command/)
  }
})
