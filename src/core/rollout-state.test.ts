/** How far a roll-out is, as a status says it. */
import { expect, it } from 'vitest'
import { cluster, peer, running, stopped, view, web } from '../../test/made-up.ts'
import type { InstanceReport } from './model.ts'
import type { RolloutRecord } from './records.ts'
import { targetOf } from './rollout.ts'
import { rolloutState } from './rollout-state.ts'

const service = web()
const target = targetOf(service)
const updated: Partial<InstanceReport> = { target }
const outdated: Partial<InstanceReport> = { target, outdated: { why: 'its command changed', needs: 'restart' } }
const unjudged: Partial<InstanceReport> = { target: 'another' }

function state(instances: readonly Partial<InstanceReport>[], rollout?: Partial<RolloutRecord>, of = service) {
  const [a, b, c] = instances.map((given) => running('web', given))
  if (!a || !b || !c) throw new Error('three instances')
  const record = rollout && { rollouts: { web: { target, turns: [], ...rollout, revision: 1 } } }
  const peers = { b: peer('b', [b]), c: peer('c', [c]) }
  return rolloutState(
    view({ cluster: cluster([of]), peers, local: { instances: { web: a } }, ...(record && { store: record }) }),
    of,
  )
}

it('is absent when every instance runs as the config says', () => {
  expect(state([updated, updated, updated])).toBeUndefined()
  expect(state([{}, {}, {}])).toBeUndefined() // agents of an earlier version do not say
})

it('counts what is outdated, and says why', () => {
  expect(state([updated, outdated, outdated])).toEqual({
    state: 'rolling',
    updated: 1,
    of: 3,
    why: 'b, c are outdated: its command changed',
  })
})

it('counts a node that has not taken the config over yet: nothing is done before every node has compared', () => {
  expect(state([updated, unjudged, updated])).toMatchObject({ updated: 2, why: 'nodes still take the new config over' })
})

it('goes on until the turn of the last one is over', () => {
  expect(state([updated, updated, updated], { turns: ['b'] })).toMatchObject({
    updated: 2,
    of: 3,
    why: 'b is being replaced',
  })
})

it('is stopped when a new instance failed, until the config is another one or it runs after all', () => {
  const failed = { node: 'b', why: 'the new instance of web on b failed: it ended with code 3' }
  expect(state([outdated, { ...updated, health: 'unhealthy' }, outdated], { failed })).toEqual({
    state: 'stopped',
    updated: 0,
    of: 3,
    why: failed.why,
  })
  expect(state([updated, updated, updated], { failed })).toBeUndefined()
  expect(state([updated, updated, updated], { failed, target: 'of the config before' })).toBeUndefined()
})

it('is absent for a service that an operator stopped', () => {
  expect(state([outdated, outdated, outdated], undefined, { ...service, stopped: true })).toBeUndefined()
})

it('counts the one that failed, down or up, and never as updated', () => {
  const failed = { node: 'a', why: 'the new instance of web on a failed: ended with code 1' }
  const down = { ...stopped('web', { failures: 1, note: 'ended with code 1' }), target }
  for (const tried of [down, updated])
    expect(state([tried, outdated, outdated], { failed })).toEqual({
      state: 'stopped',
      updated: 0,
      of: 3,
      why: failed.why,
    })
})
