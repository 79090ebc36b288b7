/**
 * Random faults on a single writer: its process, its agent, its fence, agent and fence in one breath, and its whole node are
 * killed or frozen, one after the other. Never may two of it run at once, by the log that each run signs every 2 ms with
 * the machine's monotonic clock; and each time it must be back within its bound.
 *
 * UNDERSTUDY_SEED repeats a run's faults; UNDERSTUDY_FAULTS changes their number. `npm run torture:worker` is the long form: 200
 * faults, of which about 80 kill or freeze both guards.
 *
 * Exercises: api, balancer, client, drivers/process, local, stores. Engines: none.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Status } from '../../src/api/api-types.ts'
import { command } from '../../src/index.ts'
import { systemClock as clock, sleep } from '../../src/lib/clock.ts'
import { readJson } from '../../src/lib/files.ts'
import type { ProcessIdentity } from '../../src/lib/proc.ts'
import { seededRandom } from '../../src/lib/random.ts'
import { PROGRAMS, primaryPid, serviceOf, startCluster, type TestCluster } from './cluster.ts'
import { watchSlowness } from './slowness.ts'

const SEED = Number(process.env.UNDERSTUDY_SEED ?? Date.now() % 1_000_000)
const FAULTS = Number(process.env.UNDERSTUDY_FAULTS ?? 80)
/** The presets' lease, and what the issue of a takeover may cost besides. */
const LEASE_MS = 2_000

/** How long there may be no worker: what is promised on a machine that has time. */
const PROMISED_MS = { process: 300, hang: 800, silence: LEASE_MS + 500 }
/** What a busy machine gets on top: a takeover waits for a new process, and for three agents to get a turn. */
const WAITS = 4
/**
 * The last renewal may be a quarter of the lease old when an agent is harmed, and the fence kills 250 ms before the end: an
 * agent that is back within half of the lease has time to go on with it.
 */
const RESTARTED_IN_TIME_MS = LEASE_MS / 2
/** What a new fence needs on a quiet machine: to start, and the next renewal, with which its agent arms it for longer. */
const REARMED_WITHIN_MS = 100 + LEASE_MS / 4
/** After a fault that the worker must not notice: longer than its lease, so that a lease that is not renewed would show. */
const UNNOTICED_MS = LEASE_MS + 300

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
  /** Null: the worker must not even notice. `either`: it may end or go on; only that there are never two is judged. */
  readonly bound: keyof typeof PROMISED_MS | 'either' | null
  readonly weight: number
  /** Does it to the worker's node; returns how to undo what does not mend itself. */
  inject(node: string, pid: number): Promise<() => void>
}

const nothing = () => undefined

const KINDS: readonly Fault[] = [
  { name: 'kill -9 the process', bound: 'process', weight: 8, inject: async (_, pid) => kill(pid, 'SIGKILL') },
  { name: 'SIGSTOP the process', bound: 'hang', weight: 3, inject: async (_, pid) => kill(pid, 'SIGSTOP') },
  {
    name: 'kill -9 the agent',
    bound: null,
    weight: 3,
    inject: async (node) => kill(companion(node, 'agent'), 'SIGKILL'),
  },
  {
    name: 'SIGSTOP the agent',
    bound: null,
    weight: 2,
    inject: async (node) => kill(companion(node, 'agent'), 'SIGSTOP'),
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
    name: 'kill -9 agent and fence',
    bound: 'either',
    weight: 12,
    inject: async (node) => both(node, 'SIGKILL', 'SIGKILL'),
  },
  {
    name: 'kill -9 the agent, SIGSTOP the fence',
    bound: 'either',
    weight: 2,
    inject: async (node) => both(node, 'SIGKILL', 'SIGSTOP'),
  },
  {
    name: 'SIGSTOP the agent, kill -9 the fence',
    bound: 'either',
    weight: 2,
    inject: async (node) => both(node, 'SIGSTOP', 'SIGKILL'),
  },
  {
    name: 'SIGSTOP agent and fence',
    bound: 'either',
    weight: 1,
    inject: async (node) => both(node, 'SIGSTOP', 'SIGSTOP'),
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

/** Both guards, with nothing between. */
function both(node: string, toAgent: NodeJS.Signals, toFence: NodeJS.Signals): () => void {
  const [agent, fence] = [companion(node, 'agent'), companion(node, 'fence')]
  process.kill(agent, toAgent)
  return kill(fence, toFence)
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

interface Unnoticed {
  readonly fault: string
  /** When it was done. */
  readonly since: number
  readonly node: string
  readonly term: number
  readonly pid: number
  readonly slowMs: number
}

/**
 * The same process leads in the same term. An agent or a fence that could not be started again within the lease, because
 * the machine was too busy, costs the lead, as it must: then false, and only the safety of it is judged.
 */
async function expectUnnoticed({ fault, since, node, term, pid, slowMs }: Unnoticed): Promise<boolean> {
  const { term: termNow, instances } = await cluster.service('worker')
  const events = (await cluster.local.client.events()).filter(({ at }) => Date.parse(at) >= since)
  const started = events.find(({ why }) => /^the agent of .* has started$/.test(why))
  if (/the agent$/.test(fault) && (!started || Date.parse(started.at) - since > RESTARTED_IN_TIME_MS)) return false
  const fence = events.find((event) => event.node === node && event.why === 'the fence had died and was started again')
  const dueAt = fencedAt(node, pid)
  if (fence && dueAt && dueAt - Date.parse(fence.at) < REARMED_WITHIN_MS + 2 * slowMs) return false
  const told = events.map((event) => `${event.node} ${event.rule} ${event.kind} ${event.why}`).join('; ')
  const pidNow = instances.find(({ role }) => role === 'primary')?.pid
  expect({ term: termNow, pid: pidNow }, `${fault}: ${told}`).toEqual({ term, pid })
  return true
}

/** By the wall clock, the deadline at which the node's fence killed this process; undefined when it did not. */
function fencedAt(node: string, pid: number): number | undefined {
  const lines = readFileSync(join(cluster.stateDir, 'nodes', node, 'fence.log'), 'utf8')
    .split('\n')
    .slice(0, -1)
  const killed = lines
    .filter((line) => line.startsWith('{')) // Node's own complaints go there as well
    .map((line) => JSON.parse(line) as { event: string; pid: number; at: string; lateMs: number })
    .findLast((line) => line.event === 'fenced' && line.pid === pid)
  return killed && Date.parse(killed.at) - killed.lateMs
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

function leads(status: Status, term: number): boolean {
  const worker = serviceOf(status, 'worker')
  return worker.term >= term && worker.healthy
}

/** Between the last sign of life of one run and the first one of the next, which may still be starting. */
async function gapAround(termBefore: number): Promise<number> {
  const deadline = clock.mono() + 5_000
  while (clock.mono() < deadline) {
    const log = readLog()
    const last = log.findLast(({ term }) => term <= termBefore)
    const next = log.find(({ term }) => term > termBefore)
    if (last && next) return next.mono - last.mono
    await sleep(clock, 20)
  }
  throw new Error(`the log has no run before or after term ${termBefore}`)
}

it(`${FAULTS} random faults (seed ${SEED}): never two at once, back in time`, { timeout: FAULTS * 8_000 }, async () => {
  const gaps = new Map<string, number[]>()
  let tooBusy = 0
  let bothHarmed = 0
  for (let count = 0; count < FAULTS; count++) {
    const before = await cluster.until(
      'the worker leads and every node takes part',
      (status) =>
        serviceOf(status, 'worker').healthy && status.nodes.every(({ alive, fencePid }) => alive && fencePid !== null),
    )
    const { term, primary } = serviceOf(before, 'worker')
    // Long enough for a run to count as a good one (drivers/restart-backoff.ts): this is no test of back-off.
    await sleep(clock, 1_050 + random() * 300)
    const fault = pick()
    const pid = primaryPid(before, 'worker')
    const node = primary ?? ''
    const slowness = watchSlowness()
    const since = Date.now()
    const undo = await fault.inject(node, pid)
    bothHarmed += fault.bound === 'either' ? 1 : 0
    if (fault.bound === 'either') {
      await sleep(clock, UNNOTICED_MS)
      continue
    }
    if (fault.bound === null) {
      await sleep(clock, UNNOTICED_MS)
      const slowMs = await slowness.ms()
      if (!(await expectUnnoticed({ fault: fault.name, since, node, term, pid, slowMs }))) tooBusy += 1
      continue
    }
    await cluster.until(`a new term after: ${fault.name}`, (status) => leads(status, term + 1))
    undo()
    const gap = await gapAround(term)
    const boundMs = PROMISED_MS[fault.bound] + 100 + WAITS * (await slowness.ms())
    gaps.set(fault.name, [...(gaps.get(fault.name) ?? []), gap])
    expect(gap, `${fault.name}, fault ${count}`).toBeLessThan(boundMs)
  }
  for (const [name, all] of gaps) console.log(summary(name, all))
  if (tooBusy > 0) console.log(`${tooBusy} times the machine was too busy to start an agent or a fence within a lease`)
  console.log(`${bothHarmed} of ${FAULTS} faults killed or froze agent and fence together`)
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
