import { expect, onTestFinished, test } from 'vitest'
import { guarded, inBackground, onFault } from './background.ts'
import { sleep } from './clock.ts'
import { superviseLoop } from './supervised-loop.ts'
import { VirtualClock } from './virtual-clock.ts'

function begin(
  work: (turn: number) => void | Promise<void>,
  options: { firstMs?: number; everyMs?: number; isAligned?: boolean } = {},
) {
  const clock = new VirtualClock()
  const at: number[] = []
  const told: string[] = []
  const loop = superviseLoop({
    clock,
    what: 'the loop',
    everyMs: 100,
    ...options,
    work() {
      at.push(clock.mono())
      return work(at.length)
    },
    report: (what, error) => told.push(`${what}: ${(error as Error).message}`),
  })
  onTestFinished(() => loop.stop())
  return { clock, at, told, loop }
}

test('turns follow each other, counted from the end of the one before', async () => {
  const { clock, at } = begin(() => {}, { firstMs: 0 })
  await clock.advance(350)
  expect(at).toEqual([0, 100, 200, 300])
})

test('loops that are aligned take their turns together, whenever they were begun', async () => {
  const clock = new VirtualClock()
  const at: number[][] = []
  for (const startMs of [0, 30, 40]) {
    await clock.advance(startMs)
    const turns: number[] = []
    at.push(turns)
    const work = () => void turns.push(clock.mono())
    onTestFinished(superviseLoop({ clock, what: 'x', everyMs: 100, isAligned: true, work }).stop)
  }
  await clock.advance(1_000)
  const [first = [], ...others] = at.map((turns) => turns.slice(-8))
  expect(others).toEqual([first, first])
  expect(first.map((moment) => moment - (first[0] ?? 0))).toEqual([0, 100, 200, 300, 400, 500, 600, 700])
})

test('a turn that takes long is not overtaken', async () => {
  const clock = new VirtualClock()
  let open = 0
  let most = 0
  const { stop } = superviseLoop({
    clock,
    what: 'x',
    everyMs: 10,
    async work() {
      open += 1
      most = Math.max(most, open)
      await sleep(clock, 55)
      open -= 1
    },
  })
  await clock.advance(1_000)
  stop()
  expect(most).toBe(1)
})

test.each([
  [
    'throws',
    () => {
      throw new Error('once')
    },
  ],
  ['rejects', () => Promise.reject(new Error('once'))],
])('a turn that %s is reported, and the next one comes all the same', async (_, fail) => {
  const { clock, at, told } = begin((turn) => (turn === 2 ? fail() : undefined))
  await clock.advance(450)
  expect(at).toEqual([100, 200, 300, 400])
  expect(told).toEqual(['the loop: once'])
})

test('what fails again and again is tried more rarely, and at once at its own pace when it succeeds', async () => {
  let broken = true
  const { clock, at } = begin(() => {
    if (broken) throw new Error('broken')
  })
  await clock.advance(10_000)
  const gaps = at.slice(1).map((time, index) => time - (at[index] ?? 0))
  expect(gaps.slice(0, 6)).toEqual([100, 200, 400, 800, 800, 800])
  broken = false
  at.length = 0
  await clock.advance(1_500)
  expect(at.slice(-3).map((time, index, all) => (index === 0 ? 0 : time - (all[index - 1] ?? 0)))).toEqual([
    0, 100, 100,
  ])
})

test('each kind of fault is told once, and again after a minute', async () => {
  const { clock, told } = begin((turn) => {
    throw new Error(turn % 2 === 0 ? `even ${turn}` : 'odd')
  })
  await clock.advance(59_000)
  expect(told).toEqual(['the loop: odd', 'the loop: even 2'])
  await clock.advance(60_000)
  expect(told).toHaveLength(4)
})

test('it can be stopped from within a turn, and while a turn is under way', async () => {
  const one = begin(() => one.loop.stop())
  await one.clock.advance(1_000)
  expect(one.at).toHaveLength(1)
  const other = begin(() => sleep(other.clock, 50))
  await other.clock.advance(120)
  other.loop.stop()
  await other.clock.advance(1_000)
  expect(other.at).toHaveLength(1)
})

test('faults in the background reach every listener, and end nothing', async () => {
  const heard: string[] = []
  onTestFinished(onFault((what, error) => heard.push(`${what}: ${error.message}`)))
  guarded('a handler', () => {
    throw new Error('x')
  })
  inBackground(Promise.reject(new Error('y')), 'a task')
  inBackground(Promise.reject('z'), 'another')
  await Promise.resolve().then(() => {})
  expect(heard).toEqual(['a handler: x', 'a task: y', 'another: z'])
})
