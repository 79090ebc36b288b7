/**
 * Some hundred made-up disasters with every run of the tests. A seed that fails is printed with its sentence; repeat it
 * with `npm run sim -- --seed S --trace`. SIM_SEEDS and SIM_FROM ask for more or others.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, it, vi } from 'vitest'
import type { Finder } from '../src/core/problems/problem.ts'
import { RULES } from '../src/core/rule-names.ts'
import { APPLY_KINDS, FAULT_KINDS } from '../src/sim/fault-schedule.ts'
import { runSim, unreached } from '../src/sim/many-seeds.ts'
import { runSeed } from '../src/sim/run-seed.ts'
import { NOTHING, type Summary, summaryOf, together } from '../src/sim/summary.ts'

/** How often each finder of core/problems found something, by its place in the list of all. */
const found = vi.hoisted(() => new Map<number, number>())
vi.mock('../src/core/problems/index.ts', async (original) => {
  const { FINDERS } = await original<{ FINDERS: readonly Finder[] }>()
  const counted = FINDERS.map((finder, index): Finder => {
    return (view) => {
      const problems = finder(view)
      if (problems.length > 0) found.set(index, (found.get(index) ?? 0) + 1)
      return problems
    }
  })
  return { FINDERS: counted }
})

/** The names in the list of all finders, in its order: each problem file has one at least. */
function finderNames(): string[] {
  const text = readFileSync(new URL('../src/core/problems/index.ts', import.meta.url), 'utf8')
  const [, list = ''] = /FINDERS[^=]*= \[([^\]]*)\]/.exec(text) ?? []
  return list
    .split(',')
    .map((name) => name.trim())
    .filter(Boolean)
}

const FROM = Number(process.env.SIM_FROM ?? 1)
const SEEDS = Number(process.env.SIM_SEEDS ?? 300)
/** On a busy machine fewer seeds are run rather than none reported. */
const AT_MOST_MS = Number(process.env.SIM_MOST_MS ?? 45_000)

/**
 * An alarm that must never be raised. Told by balancers, of secrets and of later versions, which are not in these worlds; the name of a switchover that nothing
 * gave a reason for, of which there is none; and what is only shown to those who ask (its finder is counted all the same).
 */
const ELSEWHERE = new Set([
  'instance-unproven',
  'target-ejected',
  'target-full',
  'endpoint-closed',
  'endpoint-certificate',
  'table-refused',
  'switchover',
  'promise-broken',
  'secret-missing',
  'config-refused',
])
/** What these seeds must reach, or they prove less than they say: all that agents can notice, and every change of role. */
const REACHED = Object.keys(RULES).filter((rule) => !ELSEWHERE.has(rule))

describe('the simulator', () => {
  // Rare ones: each was one of tens of thousands. A change to the worlds makes others of them.
  it.each([1386, 6326, 22502, 42038, 49830, 66296, 75946, 78938])(
    'keeps every promise in seed %i, which broke one once',
    async (seed) => {
      expect(summaryOf(await runSeed({ seed })).broken).toEqual([])
    },
  )

  it.each([923])('keeps every promise in seed %i of the worlds with a database, which broke one once', async (seed) => {
    expect(summaryOf(await runSeed({ seed, about: 'database' })).broken).toEqual([])
  })

  it.each([6454])('keeps every promise in seed %i of the worlds with applies, which broke one once', async (seed) => {
    expect(summaryOf(await runSeed({ seed, applies: true })).broken).toEqual([])
  })

  it('keeps every promise in some hundred seeds', { timeout: 90_000 }, async () => {
    const began = performance.now()
    let sum: Summary = NOTHING
    let seed = FROM
    for (; seed < FROM + SEEDS && performance.now() - began < AT_MOST_MS; seed += 1) {
      sum = together(sum, summaryOf(await runSeed({ seed })))
      if (seed % 3 === 0) sum = together(sum, summaryOf(await runSeed({ seed, applies: true })))
    }
    console.log(
      `seeds ${FROM} to ${seed - 1}: ${sum.broken.length} broken, ${sum.failovers} changes of primary, hash ${sum.hash}`,
    )
    expect(sum.broken).toEqual([])
    if (seed < FROM + 250) return
    expect(unreached(sum, REACHED)).toEqual([])
    // An alarm has nothing to find; that it can be raised is tested beside it.
    const elsewhere = ['promiseBroken', 'secretMissing', 'configRefused']
    const never = finderNames().filter((name, index) => !found.has(index) && !elsewhere.includes(name))
    expect(never, 'problem files that these seeds never reached').toEqual([])
  })

  it('decides without changing what it looks at', { timeout: 90_000 }, async () => {
    for (let seed = 1; seed <= 12; seed += 1)
      expect((await runSeed({ seed, freezes: true })).hash).toBe((await runSeed({ seed })).hash)
  })

  it('takes no late confirmation for a second writer: a slow link brought one after the change of primary', async () => {
    expect((await runSeed({ seed: 10_210 })).broken).toEqual([])
  })

  it('brings about each fault by its name, and counts what came in a sequence as well', {
    timeout: 90_000,
  }, async () => {
    // A changed config needs a world in which a version has less than ten seconds to prove itself: those of the test above.
    for (const kind of FAULT_KINDS.filter((one) => !APPLY_KINDS.some((change) => change === one))) {
      const { broken, injected } = await runSeed({ seed: 4, about: 'database', kinds: [kind] })
      expect(broken, kind).toEqual([])
      expect(Object.keys(injected), kind).toEqual([kind])
    }
    let [drawn, happened] = [0, 0]
    for (let seed = 1; seed <= 12; seed += 1) {
      const { faults, injected } = await runSeed({ seed, about: 'database' })
      drawn += faults.length
      happened += Object.values(injected).reduce((sum, count) => sum + count, 0)
    }
    expect(happened).toBeGreaterThan(drawn)
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
