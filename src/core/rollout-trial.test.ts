/** What counts against a version that is rolled out, and from when on a failure is an ordinary one. */
import { describe, expect, it } from 'vitest'
import { cluster, copy, database, peer, running, stopped, view, web } from '../../test/made-up.ts'
import { decide } from './decide.ts'
import type { InstanceReport, ServiceSpec } from './model.ts'
import type { RolloutRecord } from './records.ts'
import { targetOf } from './rollout.ts'

const OLD = { outdated: { why: 'its environment changed', needs: 'restart' } } as const
const old = () => running('web', OLD)
const crashed = (given: Partial<InstanceReport> = {}) =>
  stopped('web', { failures: 1, note: 'ended with code 1', retryInMs: 500, ...given })
const FAILED = { kind: 'rollout', record: { failed: { node: 'a' } } }

interface Given {
  readonly service?: ServiceSpec
  readonly rollout?: Partial<RolloutRecord>
  readonly others?: InstanceReport
}

/** What a does about its own instance. */
function step(own: InstanceReport, { service = web(), rollout, others = old() }: Given) {
  const { name } = service
  const record = rollout && { [name]: { target: targetOf(service), turns: [], revision: 5, ...rollout } }
  const seen = view({
    cluster: cluster([service]),
    peers: { b: peer('b', [others]), c: peer('c', [others]) },
    store: { rollouts: record },
    local: { instances: { [name]: own } },
  })
  return decide(seen).acts.find(({ rule }) => rule !== 'store-away')?.step
}

describe('a new version on a node without a turn', () => {
  it('that fails before any was healthy for long stops the roll-out', () => {
    expect(step(crashed(), { rollout: {} })).toMatchObject(FAILED)
  })

  it('that fails before the first turn was taken stops it, too', () => {
    expect(step(crashed(), {})).toMatchObject(FAILED)
    expect(step(crashed(), { rollout: { target: 'of an earlier config' } })).toMatchObject(FAILED)
  })

  it('is an ordinary failure when one was healthy for long, and when nothing is rolled out', () => {
    expect(step(crashed(), { rollout: { proven: true } })).toBeUndefined()
    expect(step(crashed(), { others: running('web') })).toBeUndefined()
    expect(step(crashed(), { others: running('web'), rollout: { proven: true } })).toBeUndefined()
  })

  it('proves it when it is healthy for long', () => {
    const rollout = { target: targetOf(web()), turns: ['b'] }
    expect(step(running('web'), { rollout })).toEqual(
      expect.objectContaining({ kind: 'rollout', record: { ...rollout, proven: true } }),
    )
    expect(step(running('web', { healthForMs: 9_000 }), { rollout })).toBeUndefined()
    expect(step(running('web'), { rollout: { ...rollout, proven: true } })).toBeUndefined()
    expect(step(running('web'), { others: running('web') })).toBeUndefined()
  })
})

describe('the version before', () => {
  it('is not taken for the new one while its driver is still the one before', () => {
    expect(step(crashed({ target: 'before' }), { rollout: {} })).toBeUndefined()
    expect(step(crashed({ target: 'before' }), { rollout: { turns: ['a'] } })).toBeUndefined()
    expect(step(crashed({ target: targetOf(web()) }), { rollout: { turns: ['a'] } })).toMatchObject(FAILED)
  })

  it('is not taken for the new one while it is being ended in its turn, though it had failed before', () => {
    const ending = running('web', { ...OLD, state: 'stopping', failures: 1 })
    expect(step(ending, { rollout: { turns: ['a'] } })).toBeUndefined()
  })
})

it('a turn that ends well proves the version', () => {
  const { record } = (step(running('web'), { rollout: { turns: ['a'] } }) ?? {}) as { record?: RolloutRecord }
  expect(record).toEqual({ target: targetOf(web()), turns: [], proven: true })
})

it('a replica that fails without a turn says nothing about what is rolled out', () => {
  const service = database()
  const own = stopped('db', { failures: 1, retryInMs: 500, replica: copy() })
  const others = running('db', { ...OLD, replica: copy() })
  expect(step(own, { service, others, rollout: {} })).not.toMatchObject({ kind: 'rollout' })
})
