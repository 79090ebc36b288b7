import { describe, expect, it } from 'vitest'
import { cluster, web, worker } from '../../test/made-up.ts'
import type { Replication } from '../core/replicated/quorum-config.ts'
import { type Effect, NOTHING } from './failure.ts'
import { WhatIf } from './whatif.ts'

const traits = { singleWriter: false, replicates: true, reportsPosition: true, canRewind: true }
const NODES = ['a', 'b', 'c', 'd', 'e']

/** What `effect` does to a database with so many replicas whose primary is on `a`. */
function ask(
  instances: number,
  replication: Replication,
  effect: Partial<Effect>,
  voters: readonly string[] | null = null,
) {
  const db = worker({ name: 'db', instances, traits, replication })
  const needing = web({ needs: ['db'], instances: 1 })
  const spec = cluster([db, needing], NODES.slice(0, instances))
  const whatif = new WhatIf({ cluster: spec, primaries: { db: 'a' }, voters })
  return whatif.inquiry.outcome('db', { ...NOTHING, ...effect })
}
const without = (instances: number, replication: Replication, ...nodes: string[]) =>
  ask(instances, replication, { nodes })
const block = (k: number, sync?: number): Replication => ({ k, degrade: 'block', ...(sync && { sync }) })
const alone = (k: number): Replication => ({ k, degrade: 'run-alone' })

/** Silence is believed after 700 ms, a takeover takes 400 ms. */
const AFTER_SILENCE_MS = 1_100
/** A silent standby is lost after 2,400 ms; then it is taken out of the quorum. */
const AFTER_LOSS_MS = 2_800

describe('three copies', () => {
  it('without any one node are led, at once or by another, and lose nothing', () => {
    expect(without(3, block(1), 'a')).toMatchObject({
      served: true,
      primary: 'c',
      order: ['c', 'b'],
      evidence: 'silence',
      pauseMs: AFTER_SILENCE_MS,
      loss: 'none',
    })
    for (const node of ['b', 'c'])
      expect(without(3, block(1), node)).toMatchObject({ served: true, primary: 'a', pauseMs: 0, loss: 'none' })
  })

  it('without two stop writes, and reads go on', () => {
    const led = without(3, block(1), 'b', 'c')
    expect(led).toMatchObject({ served: false, primary: 'a', reads: 'a', pauseMs: null, loss: 'none' })
    expect(led.why).toMatch(/^db is read-only: a is primary, synchronous standbys ANY 1 \(b, c\)/)
    for (const [gone, left] of [
      ['b', 'c'],
      ['c', 'b'],
    ] as const) {
      const unled = without(3, block(1), 'a', gone)
      expect(unled).toMatchObject({ served: false, primary: null, reads: left, loss: 'if-disks-are-gone' })
      expect(unled.why).toMatch(/quorum lost/)
    }
  })

  it('whose rule wants both standbys wait until one that is away is taken out of it', () => {
    expect(without(3, block(2, 2), 'b')).toMatchObject({ served: true, primary: 'a', pauseMs: AFTER_LOSS_MS })
    expect(without(3, block(2, 2), 'a')).toMatchObject({ served: true, primary: 'c', pauseMs: AFTER_SILENCE_MS })
    expect(without(3, block(2, 2), 'a', 'b')).toMatchObject({ served: false, reads: 'c', loss: 'none' })
  })

  it('without two go on with the primary alone, where that is wanted', () => {
    const outcome = without(3, alone(1), 'b', 'c')
    expect(outcome).toMatchObject({ served: true, primary: 'a', alone: true, pauseMs: AFTER_LOSS_MS, loss: 'none' })
    expect(without(3, alone(1), 'a', 'b')).toMatchObject({ served: false, reads: 'c', loss: 'if-disks-are-gone' })
  })
})

describe('five copies', () => {
  it('without any two are led', () => {
    for (const [index, one] of NODES.entries()) {
      for (const other of NODES.slice(index + 1)) {
        const outcome = without(5, block(2), one, other)
        expect(outcome, `${one}, ${other}`).toMatchObject({ served: true, loss: 'none' })
        expect(outcome.pauseMs).toBe(one === 'a' ? AFTER_SILENCE_MS : 0)
      }
    }
  })

  it('without three go on where the primary lives: it takes them out of its rule', () => {
    expect(without(5, block(2), 'b', 'c', 'd')).toMatchObject({ served: true, primary: 'a', pauseMs: AFTER_LOSS_MS })
    expect(without(5, block(2), 'a', 'b', 'c')).toMatchObject({ served: false, loss: 'if-disks-are-gone' })
  })
})

describe('two copies', () => {
  it('that block stop writes when either is lost, and the other one answers reads', () => {
    expect(without(2, block(1), 'a')).toMatchObject({ served: false, primary: null, reads: 'b', loss: 'none' })
    expect(without(2, block(1), 'b')).toMatchObject({ served: false, primary: 'a', reads: 'a', loss: 'none' })
  })

  it('that may run alone do, and say that the last replica is the only one', () => {
    const taken = without(2, alone(1), 'a')
    // A second replica is waited for, for a second.
    expect(taken).toMatchObject({
      served: true,
      primary: 'b',
      alone: true,
      pauseMs: AFTER_SILENCE_MS + 1_000,
      loss: 'none',
    })
    expect(without(2, alone(1), 'b')).toMatchObject({ served: true, primary: 'a', alone: true, pauseMs: AFTER_LOSS_MS })
  })

  it('lose what is on both disks when both are gone', () => {
    for (const how of [block(1), alone(1)])
      expect(without(2, how, 'a', 'b')).toMatchObject({ served: false, reads: null, loss: 'if-disks-are-gone' })
  })
})

describe('a server that ends', () => {
  const killed = (instances: number, how: Replication, ...nodes: string[]) =>
    ask(instances, how, { instances: nodes.map((node) => `${node} db`) })

  it('is followed by another at once, and comes back as a standby', () => {
    expect(killed(3, block(1), 'a')).toMatchObject({ primary: 'c', evidence: 'first-hand', pauseMs: 420, copies: 3 })
  })

  it('is started again where it was when no other replica may lead', () => {
    expect(killed(2, block(1), 'a')).toMatchObject({ served: true, primary: 'a', pauseMs: 1_020 })
    expect(killed(2, block(1), 'b')).toMatchObject({ served: true, primary: 'a', pauseMs: 1_020 })
    expect(killed(3, block(1), 'a', 'b', 'c')).toMatchObject({ served: true, primary: 'a', pauseMs: 1_020 })
  })
})

describe('without the store', () => {
  it('the primary goes on, and no replica takes over', () => {
    expect(ask(3, block(1), { store: true })).toMatchObject({ served: true, primary: 'a', pauseMs: 0 })
    expect(ask(3, block(1), { store: true, nodes: ['a'] })).toMatchObject({ served: false, why: 'the store is away' })
  })
})

describe('a cut', () => {
  it('takes the quorum from a silent primary', () => {
    const outcome = ask(3, block(1), { cuts: ['a b', 'a c'] }, ['a', 'b', 'c'])
    expect(outcome).toMatchObject({ served: true, by: ['c'], pauseMs: AFTER_SILENCE_MS, loss: 'none' })
  })
})
