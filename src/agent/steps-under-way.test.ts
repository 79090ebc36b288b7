/** What a step leaves behind, also one that came too late. */
import { expect, test } from 'vitest'
import { cluster, view as madeUp, web } from '../../test/made-up.ts'
import type { Act } from '../core/choose.ts'
import type { View } from '../core/view.ts'
import { systemClock } from '../lib/clock.ts'
import { VirtualClock } from '../lib/virtual-clock.ts'
import type { Hands } from './act.ts'
import { Steps } from './steps-under-way.ts'

const view = {} as View
const record: Act = {
  rule: 'elect',
  why: 'c is to lead db in term 2',
  step: { kind: 'record', service: 'db', what: 'c is to lead db', record: { term: 2, primary: 'c' }, revision: 7 },
}

function stepsWith(outcome: 'done' | 'conflict', late: () => Promise<void>, wake: () => void): Steps {
  const hands = { world: { store: { swap: async () => outcome } } } as unknown as Hands
  return new Steps({
    clock: systemClock,
    hands,
    recheck: () => view,
    done: async () => undefined,
    late,
    failed: (_, __, error) => expect.unreachable(error.message),
    wake,
  })
}

test('what another node wrote first is read before anything is decided again', async () => {
  let known = false
  let turns = 0
  // As the agent does it: each end of a step is a turn, and a turn that has not seen the record decides the same again.
  const steps = stepsWith(
    'conflict',
    async () => {
      known = true
    },
    () => {
      turns += 1
      if (!known && turns < 100) void steps.begin(record, view)
    },
  )
  await steps.begin(record, view)
  await new Promise((resolve) => setTimeout(resolve, 0))
  expect(turns).toBe(1)
  expect(steps.isBusy('db')).toBe(false)
})

test('a write that took place is no late one', async () => {
  let late = 0
  const steps = stepsWith(
    'done',
    async () => {
      late += 1
    },
    () => undefined,
  )
  await steps.begin(record, view)
  expect(late).toBe(0)
})

test('a step that something more urgent called off has not failed', async () => {
  let failures = 0
  let callOff: (error: Error) => void = () => undefined
  const driver = {
    start: () => new Promise<void>((_, reject) => (callOff = reject)),
    kill: async () => callOff(new Error('called off by something more urgent')),
  }
  const world = { drivers: new Map([['web', driver]]) }
  const steps = new Steps({
    clock: systemClock,
    hands: { world } as unknown as Hands,
    recheck: () => view,
    done: async () => undefined,
    late: async () => undefined,
    failed: () => {
      failures += 1
    },
    wake: () => undefined,
  })
  const starting = madeUp({ cluster: cluster([web()]) })
  const first = steps.begin(
    { rule: 'instance-missing', why: '', step: { kind: 'start', service: 'web', role: 'active', term: 0 } },
    starting,
  )
  await steps.begin({ rule: 'instance-unhealthy', why: '', step: { kind: 'kill', service: 'web' } }, view)
  await first
  expect(failures).toBe(0)
  expect(steps.isBusy('web')).toBe(false)
})

test('what safety hangs on is tried again soon, however often it failed, and not without a pause', async () => {
  const clock = new VirtualClock()
  let tries = 0
  const driver = {
    kill: async () => {
      tries += 1
      throw new Error('no space left on device')
    },
  }
  const world = { drivers: new Map([['web', driver]]) }
  const act: Act = { rule: 'two-writers', why: '', step: { kind: 'kill', service: 'web' } }
  const steps = new Steps({
    clock,
    hands: { world } as unknown as Hands,
    recheck: () => view,
    done: async () => undefined,
    late: async () => undefined,
    failed: () => undefined,
    wake: () => void steps.begin(act, view),
  })
  await steps.begin(act, view)
  expect(steps.busy).toEqual({ web: { step: 'kill', backingOff: true } })
  await clock.runUntil(60_000)
  expect(tries).toBeGreaterThan(55)
  expect(tries).toBeLessThan(75)
})

/** Steps that are wanted again as soon as the last one is over, in turns. */
function wantedForEver(acts: readonly Act[], outcome: (act: Act) => Promise<void>) {
  const clock = new VirtualClock()
  const counts = new Map<string, number>()
  let turn = 0
  const perform = async () => {
    const act = acts[turn % acts.length] as Act
    counts.set(act.step.kind, (counts.get(act.step.kind) ?? 0) + 1)
    turn += 1
    if (turn > 2_000) await new Promise(() => undefined) // without any pause no timer would ever have its turn
    await outcome(act)
  }
  const driver = { kill: perform, stop: perform, recruit: perform }
  const wake = () => void steps.begin(acts[turn % acts.length] as Act, seen)
  const steps = new Steps({
    clock,
    hands: { world: { drivers: new Map([['web', driver]]) } } as unknown as Hands,
    recheck: () => seen,
    done: async () => undefined,
    late: async () => undefined,
    failed: () => undefined,
    wake,
  })
  const seen = madeUp({ cluster: cluster([web()]) })
  return { clock, counts, begin: wake }
}

const killed: Act = { rule: 'two-writers', why: '', step: { kind: 'kill', service: 'web' } }
const ended: Act = { rule: 'instance-surplus', why: '', step: { kind: 'stop', service: 'web' } }

test('a step that is done and wanted again, and again, gets pauses: it does not help', async () => {
  const { clock, counts, begin } = wantedForEver([killed], async () => undefined)
  begin()
  await clock.runUntil(clock.mono() + 60_000)
  expect(counts.get('kill')).toBeGreaterThan(55)
  expect(counts.get('kill')).toBeLessThan(75)
})

test('a step that fails each time backs off, also when another one succeeds in between', async () => {
  const { clock, counts, begin } = wantedForEver([ended, killed], async ({ step }) => {
    if (step.kind === 'stop') throw new Error('no space left on device')
  })
  begin()
  await clock.runUntil(clock.mono() + 60_000)
  // 250 ms, 500 ms, 1 s … 10 s; an immediate retry each time would be 240.
  expect(counts.get('stop')).toBeLessThan(15)
})
