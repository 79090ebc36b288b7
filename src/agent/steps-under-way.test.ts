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

test('what somebody else wrote first is read before anything is decided again', async () => {
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
  await steps.begin({ rule: 'instance-unwell', why: '', step: { kind: 'kill', service: 'web' } }, view)
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
  expect(steps.busy).toEqual({ web: 'resting after kill' })
  await clock.runUntil(60_000)
  expect(tries).toBeGreaterThan(55)
  expect(tries).toBeLessThan(75)
})
