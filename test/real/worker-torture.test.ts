/**
 * A hundred random faults on a single writer: its process, its agent, its fence, its front door and its whole node are
 * killed or frozen, one after the other. Never may two of it run at once, by the log that each run signs every 2 ms with
 * the machine's monotonic clock; and each time it must be back within its bound.
 *
 * UNDERSTUDY_SEED repeats a run's faults; UNDERSTUDY_FAULTS changes their number.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { command } from '../../src/index.ts'
import { systemClock as clock, sleep } from '../../src/lib/clock.ts'
import { readJson } from '../../src/lib/files.ts'
import type { ProcessIdentity } from '../../src/lib/proc.ts'
import { seededRandom } from '../../src/lib/random.ts'
import { PROGRAMS, primaryPid, serviceOf, startCluster, type TestCluster } from './cluster.ts'

const SEED = Number(process.env.UNDERSTUDY_SEED ?? Date.now() % 1_000_000)
const FAULTS = Number(process.env.UNDERSTUDY_FAULTS ?? 100)
/** The presets' lease, and what the issue of a takeover may cost besides. */
const LEASE_MS = 2_000

/** Bounds for the gap in the log: what was promised, and for a busy test machine twice that. */
const PROMISED_MS = { process: 300, silence: LEASE_MS + 500 }
const SLACK = 2

let cluster: TestCluster
const random = seededRandom(SEED)

beforeAll(async () => {
  cluster = await startCluster((data) => ({
    worker: command({
      run: `node ${join(PROGRAMS, 'signing-worker.mjs')}`,
      redundancy: 'active-passive',
      instances: 3,
      env: { DATA: data },
    }),
  }))
  await cluster.until('the worker leads', (status) => serviceOf(status, 'worker').healthy, 30_000)
}, 60_000)

afterAll(() => cluster.stop())

interface Fault {
  readonly name: string
  readonly bound: keyof typeof PROMISED_MS | null
  readonly weight: number
  /** Does it to the worker's node; returns how to undo what does not mend itself. */
  inject(node: string, pid: number): Promise<() => void>
}

const nothing = () => undefined

const KINDS: readonly Fault[] = [
  { name: 'kill -9 the process', bound: 'process', weight: 8, inject: async (_, pid) => kill(pid, 'SIGKILL') },
  { name: 'SIGSTOP the process', bound: null, weight: 3, inject: async (_, pid) => kill(pid, 'SIGSTOP') },
  {
    name: 'kill -9 the agent',
    bound: null,
    weight: 3,
    inject: async (node) => kill(companion(node, 'agent'), 'SIGKILL'),
  },
  {
    name: 'SIGSTOP the agent',
    bound: 'silence',
    weight: 2,
    inject: async (node) => thawLater(companion(node, 'agent')),
  },
  {
    name: 'kill -9 the fence',
    bound: null,
    weight: 2,
    inject: async (node) => kill(companion(node, 'fence'), 'SIGKILL'),
  },
  {
    name: 'SIGSTOP the fence',
    bound: null,
    weight: 1,
    inject: async (node) => kill(companion(node, 'fence'), 'SIGSTOP'),
  },
  {
    name: 'kill -9 agent and process',
    bound: 'silence',
    weight: 2,
    inject: async (node, pid) => {
      kill(companion(node, 'agent'), 'SIGKILL')
      return kill(pid, 'SIGKILL')
    },
  },
  {
    name: 'kill -9 the node',
    bound: 'silence',
    weight: 3,
    inject: async (node) => {
      await cluster.local.killNode(node)
      return () => cluster.local.startNode(node)
    },
  },
]

function kill(pid: number, signal: NodeJS.Signals): () => void {
  process.kill(pid, signal)
  return nothing
}

function thawLater(pid: number): () => void {
  process.kill(pid, 'SIGSTOP')
  return () => process.kill(pid, 'SIGCONT')
}

function companion(node: string, name: 'agent' | 'fence'): number {
  return (readJson(join(cluster.stateDir, 'nodes', node, `${name}.json`)) as ProcessIdentity).pid
}

function pick(): Fault {
  let ticket = random() * KINDS.reduce((sum, { weight }) => sum + weight, 0)
  for (const kind of KINDS) {
    ticket -= kind.weight
    if (ticket < 0) return kind
  }
  return KINDS[0] as Fault
}

interface Line {
  readonly mono: number
  readonly pid: string
  readonly term: number
}

function readLog(): Line[] {
  return readFileSync(join(cluster.data, 'worker.log'), 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => {
      const [mono, pid = '', , term] = line.split(' ')
      return { mono: Number(mono), pid, term: Number(term) }
    })
}

/** Between the last sign of life before a moment and the first one of another run after it. */
function gapAround(log: readonly Line[], moment: number, termBefore: number): number | null {
  const last = log.findLast(({ mono, term }) => mono <= moment + 50 && term <= termBefore)
  const next = log.find(({ term }) => term > termBefore)
  return last && next ? next.mono - last.mono : null
}

it(`${FAULTS} random faults (seed ${SEED}): never two at once, back in time`, { timeout: FAULTS * 8_000 }, async () => {
  const gaps = new Map<string, number[]>()
  for (let count = 0; count < FAULTS; count++) {
    const before = await cluster.until(
      'the worker leads and every node takes part',
      (status) =>
        serviceOf(status, 'worker').healthy && status.nodes.every(({ alive, fencePid }) => alive && fencePid !== null),
    )
    const { term, primary } = serviceOf(before, 'worker')
    // Long enough for a run to count as a good one (drivers/restart.ts): this is no test of back-off.
    await sleep(clock, 1_050 + random() * 300)
    const fault = pick()
    const at = clock.mono()
    const undo = await fault.inject(primary ?? '', primaryPid(before, 'worker'))
    const changes = fault.bound !== null || fault.name.startsWith('SIGSTOP the process')
    if (changes)
      await cluster.until(
        `a new term after: ${fault.name}`,
        (status) => serviceOf(status, 'worker').term > term && serviceOf(status, 'worker').healthy,
      )
    else await sleep(clock, 400)
    undo()
    const gap = changes ? gapAround(readLog(), at, term) : null
    if (gap !== null) gaps.set(fault.name, [...(gaps.get(fault.name) ?? []), gap])
    if (fault.bound !== null && gap !== null)
      expect(gap, `${fault.name}, fault ${count}`).toBeLessThan(PROMISED_MS[fault.bound] * SLACK)
  }
  for (const [name, all] of gaps) console.log(summary(name, all))
  expectNeverTwo(readLog())
})

function summary(name: string, all: readonly number[]): string {
  const sorted = [...all].sort((a, b) => a - b)
  const at = (share: number) => (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(0)
  return `${name}: ${sorted.length} times, without a worker for p50 ${at(0.5)} ms, max ${at(1)} ms`
}

function expectNeverTwo(log: readonly Line[]): void {
  const runs = new Map<string, { from: number; until: number; term: number }>()
  for (const { mono, pid, term } of log) {
    const run = runs.get(`${pid}/${term}`) ?? { from: mono, until: mono, term }
    runs.set(`${pid}/${term}`, { ...run, until: Math.max(run.until, mono), from: Math.min(run.from, mono) })
  }
  const inOrder = [...runs.values()].sort((a, b) => a.from - b.from)
  for (const [index, run] of inOrder.entries()) {
    const before = inOrder[index - 1]
    if (!before) continue
    expect(run.from, `term ${run.term} began while term ${before.term} still ran`).toBeGreaterThan(before.until)
    expect(run.term, 'terms only grow').toBeGreaterThan(before.term)
  }
  console.log(`${inOrder.length} runs of the worker, one after the other`)
}
