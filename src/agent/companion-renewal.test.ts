/** An agent that found a balancer and a fence of another version. */
import { expect, test } from 'vitest'
import { EARLIER, type Speaks } from '../core/protocol.ts'
import { AGAIN_MS, CompanionRenewal, SETTLED_MS } from './companion-renewal.ts'

function found(speaks: Speaks | null, fence: Speaks | null, alive = true) {
  const asked: string[] = []
  const balancer = { speaks, pid: 7 as number | null }
  const guard = { speaks: fence, alive: () => alive }
  const ports = {
    ...{ version: '2', balancer, fence: guard },
    balancerPid: () => 7,
    adoptBalancer: () => asked.push('adopt'),
    handOver: () => asked.push('hand over'),
    replaceFence: () => asked.push('replace the fence'),
  }
  return { asked, balancer, guard, renewal: new CompanionRenewal(ports, 0) }
}

const [old, own]: Speaks[] = [
  { version: '1', protocol: 1 },
  { version: '2', protocol: 1 },
] as const

test('the fence first, then the balancer, each asked once until it is long overdue', () => {
  const { asked, guard, balancer, renewal } = found(old, old)
  renewal.look(SETTLED_MS - 1)
  expect(asked, 'an agent that dies at once changes nothing').toEqual([])
  for (const at of [0, 1, 1_000]) renewal.look(SETTLED_MS + at)
  expect(asked).toEqual(['replace the fence'])
  guard.speaks = own
  for (const at of [2_000, 3_000]) renewal.look(SETTLED_MS + at)
  expect(asked).toEqual(['replace the fence', 'hand over'])
  renewal.look(SETTLED_MS + 2_000 + AGAIN_MS)
  expect(asked).toEqual(['replace the fence', 'hand over', 'hand over'])
  balancer.speaks = own
  renewal.look(SETTLED_MS + 10 * AGAIN_MS)
  expect(asked).toHaveLength(3)
})

test('nothing is touched that is of this version, that has not been heard, or while the fence is silent', () => {
  for (const [balancer, fence, alive] of [
    [own, own, true],
    [null, null, true],
    [old, old, false],
  ] as const) {
    const { asked, renewal } = found(balancer, fence, alive)
    renewal.look(SETTLED_MS)
    expect(asked).toEqual([])
  }
})

test('a balancer from before there was a protocol stays, and a fence from then is replaced', () => {
  const { asked, guard, renewal } = found(EARLIER, EARLIER)
  renewal.look(SETTLED_MS)
  guard.speaks = own
  renewal.look(SETTLED_MS + AGAIN_MS)
  expect(asked).toEqual(['replace the fence'])
})

test('a successor that says hello is looked after from then on', () => {
  const { asked, balancer, renewal } = found(own, own)
  balancer.pid = 8
  renewal.look(1)
  expect(asked).toEqual(['adopt'])
})
