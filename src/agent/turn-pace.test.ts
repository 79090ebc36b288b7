import { expect, test } from 'vitest'
import { cluster, type MadeUp, peer, running, stopped, view, web } from '../../test/made-up.ts'
import { VirtualClock } from '../lib/virtual-clock.ts'
import { isIdle, TurnPace } from './turn-pace.ts'

/** Turns that take as long as they are told to, although no time passes on a virtual clock while something runs. */
function paced(tookMs: number) {
  const clock = new VirtualClock(1_000)
  let spentMs = 0
  const turns: number[] = []
  const slow = {
    ...clock,
    mono: () => clock.mono() + spentMs,
    after: clock.after.bind(clock),
  } as unknown as VirtualClock
  const pace = new TurnPace(slow, () => {
    turns.push(slow.mono())
    spentMs += tookMs
  })
  return { clock, pace, turns }
}

test('many events make one turn, right after them', async () => {
  const { pace, turns } = paced(1)
  for (let n = 0; n < 10; n++) pace.ask()
  expect(turns).toEqual([])
  await Promise.resolve()
  expect(turns).toEqual([1_000])
})

test('short turns follow one another without a rest', async () => {
  const { pace, turns } = paced(4)
  for (let n = 0; n < 5; n++) {
    pace.ask()
    await Promise.resolve()
  }
  expect(turns.length).toBe(5)
})

test('after a long turn come timers and messages first, and what they ask for is one turn', async () => {
  const { clock, pace, turns } = paced(25)
  pace.ask()
  await Promise.resolve()
  for (let n = 0; n < 5; n++) pace.ask()
  await clock.advance(19)
  expect(turns.length).toBe(1)
  await clock.advance(1)
  expect(turns.length).toBe(2)
})

test('the rest is bounded, however long the turn was held up', async () => {
  const { clock, pace, turns } = paced(5_000)
  pace.ask()
  await Promise.resolve()
  pace.ask()
  await clock.advance(50)
  expect(turns.length).toBe(2)
})

const others = { b: peer('b'), c: peer('c') }
const calm = { web: running('web'), worker: stopped('worker') }
const isCalm = (given: Partial<MadeUp>) =>
  isIdle(view({ cluster: cluster([web()]), peers: others, local: { instances: calm }, ...given }), {
    problems: [],
    acts: [],
  })

test('an agent is idle while all peers are alive and all instances are healthy or stopped', () => {
  expect(isCalm({})).toBe(true)
})

test('one silent peer, one instance that is not healthy or ends, or one step under way ends the calm', () => {
  expect(isCalm({ peers: { ...others, c: peer('c', [], { state: 'suspect' }) } })).toBe(false)
  const busy = { web: { step: null, backingOff: true } }
  expect(isCalm({ local: { instances: calm, busy } })).toBe(false)
  for (const web of [running('web', { health: 'unhealthy' }), running('web', { state: 'stopping' })])
    expect(isCalm({ local: { instances: { ...calm, web } } })).toBe(false)
})
