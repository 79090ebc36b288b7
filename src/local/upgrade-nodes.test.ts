/** An upgrade of three nodes, played by statuses: the order, what stops it, and that it goes on where it was. */
import { expect, test } from 'vitest'
import { fakeStatus } from '../api/fake-surface.ts'
import type { NodeStatus, Status } from '../client/index.ts'
import { VirtualClock } from '../lib/virtual-clock.ts'
import { type UpgradeStep, upgradeNodes, upgradeRefusal } from './upgrade-nodes.ts'

const OLD = { version: '1', balancerVersion: '1', fenceVersion: '1', protocol: 1 }
const NEW = { version: '2', balancerVersion: '2', fenceVersion: '2', protocol: 1 }
const redundant = { state: 'redundant' as const }

/** Everything is healthy; each node is of the version before. */
function calm(): Status {
  const status = fakeStatus('a')
  const services = status.services.map((service) => {
    return { ...service, healthy: true, redundancyState: { ...service.redundancyState, ...redundant } }
  })
  const nodes = status.nodes.map((node) => ({ ...node, alive: true, state: 'alive' as const, ...OLD }))
  return { ...status, nodes, services }
}

function play(
  begin: Status,
  onRestart: (node: string, change: (name: string, to: Partial<NodeStatus>) => void) => void,
) {
  const clock = new VirtualClock()
  let status = begin
  const steps: string[] = []
  const restarted: string[] = []
  const change = (name: string, to: Partial<NodeStatus>) => {
    status = { ...status, nodes: status.nodes.map((node) => (node.name === name ? { ...node, ...to } : node)) }
  }
  const run = (force = false) =>
    upgradeNodes(
      {
        ...{ version: '2', clock },
        status: async () => status,
        restartAgent(node) {
          restarted.push(node)
          onRestart(node, change)
        },
        tell: ({ node, what }: UpgradeStep) => steps.push(`${node} ${what}`),
      },
      { withinMs: 5_000, force },
    )
  const settle = async <T>(promise: Promise<T>): Promise<T | Error> => {
    const ended = promise.catch((error: Error) => error)
    for (let turn = 0; turn < 100; turn += 1) await clock.advance(200)
    return ended
  }
  const fail = () => {
    status = { ...status, services: status.services.map((service) => ({ ...service, healthy: false })) }
  }
  return { run, settle, steps, restarted, change, fail }
}

test('one node after the other, each when the one before is of the new version', async () => {
  const { run, settle, steps, restarted } = play(calm(), (node, change) => change(node, NEW))
  await settle(run())
  expect(steps).toEqual(['a', 'b', 'c'].flatMap((node) => [`${node} restarting`, `${node} upgraded`]))
  expect(restarted).toEqual(['a', 'b', 'c'])
})

test('a node that does not become new stops it, and the others are left as they are; begun again, it goes on there', async () => {
  let works = false
  const { run, settle, restarted, change } = play(calm(), (node, set) => {
    set(node, node === 'b' && !works ? { ...NEW, fenceVersion: '1' } : NEW)
  })
  expect(await settle(run())).toMatchObject({ code: 'UND_TIMED_OUT', message: expect.stringContaining('fence 1') })
  expect(restarted).toEqual(['a', 'b'])
  works = true
  change('b', NEW)
  await settle(run())
  expect(restarted).toEqual(['a', 'b', 'c'])
})

test('a service that is less healthy than before keeps the next node waiting', async () => {
  const { run, settle, restarted, fail } = play(calm(), (node, change) => {
    change(node, NEW)
    if (node === 'b') fail()
  })
  expect(await settle(run())).toMatchObject({ code: 'UND_TIMED_OUT', message: expect.stringContaining('as healthy') })
  expect(restarted).toEqual(['a', 'b'])
})

test('a balancer that cannot hand over stays, and that is no failure', async () => {
  const { run, settle, steps } = play(calm(), (node, change) => change(node, { ...NEW, balancerVersion: 'earlier' }))
  await settle(run())
  expect(steps.at(-1)).toBe('c upgraded')
})

test('refused: a node that is not heard, a service that is not whole, versions more than one apart; --force takes the first two', async () => {
  const [down, far] = [calm(), calm()].map((status, index) => ({
    ...status,
    nodes: status.nodes.map((node) => {
      if (node.name !== 'c') return node
      return index === 0 ? { ...node, alive: false, version: null } : { ...node, protocol: 7 }
    }),
  })) as unknown as [Status, Status]
  expect(upgradeRefusal(calm(), false)).toBeUndefined()
  expect(upgradeRefusal(down, false)).toContain('c cannot be heard')
  expect(upgradeRefusal(down, true)).toBeUndefined()
  expect([upgradeRefusal(far, false), upgradeRefusal(far, true)]).toEqual(
    Array(2).fill(expect.stringContaining('more than one version apart')),
  )
  const { run, settle, steps } = play(down, (node, change) => change(node, NEW))
  await settle(run(true))
  expect(steps.at(-1)).toBe('c skipped')
})
