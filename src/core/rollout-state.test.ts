import { describe, expect, it } from 'vitest'
import { cluster, peer, running, stopped, view, web } from '../../test/made-up.ts'
import type { InstanceReport } from './model.ts'
import type { RolloutRecord } from './records.ts'
import { targetOf } from './rollout.ts'
import { rolloutState } from './rollout-state.ts'

const service = web()
const OLD = { outdated: { why: 'its environment changed', needs: 'restart' } } as const
const old = () => running('web', OLD)
const failed = { node: 'a', why: 'the new instance of web on a failed: ended with code 1' }

function stateOf(a: InstanceReport, b: InstanceReport, c: InstanceReport, rollout: Partial<RolloutRecord> = {}) {
  return rolloutState(
    view({
      cluster: cluster([service]),
      peers: { b: peer('b', [b]), c: peer('c', [c]) },
      local: { instances: { web: a } },
      store: { rollouts: { web: { target: targetOf(service), turns: [], revision: 5, ...rollout } } },
    }),
    service,
  )
}

describe('how far a roll-out is', () => {
  it('is not said when every instance runs as the config says', () => {
    expect(stateOf(running('web'), running('web'), running('web'))).toBeUndefined()
  })

  it('counts those that run as the config says, and not the one that is being replaced', () => {
    expect(stateOf(running('web'), old(), old())).toMatchObject({ state: 'rolling', updated: 1, of: 3 })
    expect(stateOf(running('web'), stopped('web'), old(), { turns: ['b'] })).toMatchObject({ updated: 1, of: 3 })
  })

  it('counts the one that failed, down or up, and never as updated', () => {
    const down = stopped('web', { failures: 1, note: 'ended with code 1' })
    for (const tried of [down, running('web')])
      expect(stateOf(tried, old(), old(), { failed })).toEqual({ state: 'stopped', updated: 0, of: 3, why: failed.why })
  })
})
