/**
 * Some hundred made-up disasters with every run of the tests. A seed that fails is printed with its sentence; repeat it
 * with `npm run sim -- --seed S --trace`. SIM_SEEDS and SIM_FROM ask for more or others.
 */
import { describe, expect, it } from 'vitest'
import { runSim } from '../src/sim/many.ts'
import { runSeed } from '../src/sim/run.ts'
import { NOTHING, type Summary, summaryOf, together } from '../src/sim/summary.ts'

const FROM = Number(process.env.SIM_FROM ?? 1)
const SEEDS = Number(process.env.SIM_SEEDS ?? 300)
/** On a busy machine fewer seeds are run rather than none reported. */
const AT_MOST_MS = 45_000

/** What these seeds must reach, or they prove less than they say. */
const ROWS = [
  'no-primary done',
  'primary-down done',
  'primary-lost done',
  'primary-not-started done',
  'primary-unwell done',
  'instance-missing done',
  'instance-down done',
  'instance-crashing done',
  'instance-surplus done',
  'instance-unwell done',
  'lease-ending done',
  'switchover-requested done',
  'node-drained done',
  'two-writers done',
  'node-lost noticed',
  'store-away noticed',
  'too-few-instances noticed',
]

describe('the simulator', () => {
  it('keeps every promise in some hundred seeds', { timeout: 90_000 }, async () => {
    const began = performance.now()
    let sum: Summary = NOTHING
    let seed = FROM
    for (; seed < FROM + SEEDS && performance.now() - began < AT_MOST_MS; seed += 1)
      sum = together(sum, summaryOf(await runSeed({ seed })))
    console.log(
      `seeds ${FROM} to ${seed - 1}: ${sum.broken.length} broken, ${sum.failovers} changes of primary, hash ${sum.hash}`,
    )
    expect(sum.broken).toEqual([])
    if (sum.seeds >= 200) expect(ROWS.filter((row) => (sum.rules[row] ?? 0) === 0)).toEqual([])
  })

  it('tells the same history for the same seed, in another time zone as well', async () => {
    const first = await runSim({ from: 7, seeds: 5 })
    const zone = process.env.TZ
    process.env.TZ = 'Asia/Kathmandu'
    try {
      expect((await runSim({ from: 7, seeds: 5 })).hash).toBe(first.hash)
    } finally {
      if (zone === undefined) delete process.env.TZ
      else process.env.TZ = zone
    }
    expect((await runSim({ from: 8, seeds: 5 })).hash).not.toBe(first.hash)
  })
})
