/**
 * A single writer and the loss of its node, once: a standby becomes primary in a new term, and the log that every run signs shows
 * that no two ran at once. worker-torture.test.ts does this and more, again and again.
 *
 * Exercises: api, balancer, client, drivers/process, local, stores. Engines: none. Fast.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { command } from '../../src/index.ts'
import { systemClock as clock } from '../../src/lib/clock.ts'
import { until } from '../../src/lib/until.ts'
import { PROGRAMS, serviceOf, startCluster, type TestCluster } from './cluster.ts'

let cluster: TestCluster | undefined

afterEach(async () => {
  await cluster?.stop()
  cluster = undefined
})

test('kill -9 of every process of its node: another node runs it, after the first has ended', async () => {
  const started = await startCluster((data) => ({
    worker: command({
      run: `node ${join(PROGRAMS, 'signing-worker.mjs')}`,
      redundancy: 'active-passive',
      instances: 3,
      env: { DATA: data },
    }),
  }))
  cluster = started
  const before = await started.until('the worker is healthy', (status) => serviceOf(status, 'worker').healthy)
  const { term, primary } = serviceOf(before, 'worker')
  const runs = (atLeast: number) =>
    until({ clock, everyMs: 20, withinMs: 15_000, what: `the signs of ${atLeast} runs` }, () => {
      const found = runsIn(join(started.data, 'worker.log'))
      return found.length >= atLeast ? found : undefined
    })
  await runs(1) // a process counts as healthy before its program has begun
  await started.local.killNode(primary ?? '')
  const after = await started.until('a new term is healthy', (status) => {
    const worker = serviceOf(status, 'worker')
    return worker.term > term && worker.healthy
  })
  expect(serviceOf(after, 'worker').primary).not.toBe(primary)
  const signed = await runs(2)
  for (const [index, run] of signed.entries()) {
    const next = signed[index + 1]
    if (next) expect(next.from, `term ${next.term} began while term ${run.term} ran`).toBeGreaterThan(run.until)
  }
})

interface Run {
  readonly term: number
  readonly from: number
  readonly until: number
}

/** By the monotonic clock of the machine, oldest first. */
function runsIn(file: string): Run[] {
  const runs = new Map<number, Run>()
  if (!existsSync(file)) return []
  for (const line of readFileSync(file, 'utf8').split('\n').slice(0, -1)) {
    const [mono, , , term] = line.split(' ').map(Number)
    if (mono === undefined || term === undefined) continue
    const known = runs.get(term) ?? { term, from: mono, until: mono }
    runs.set(term, { term, from: Math.min(known.from, mono), until: Math.max(known.until, mono) })
  }
  return [...runs.values()].sort((a, b) => a.from - b.from)
}
