/**
 * Many seeds on every core. Seeds are handed out in small portions, so that no core waits for another; the answer does not
 * depend on how many cores there were. Ended early, whole portions are reported and what is under way is dropped.
 */
import { Worker } from 'node:worker_threads'
import type { ClusterSpec } from '../core/model.ts'
import { ROLE_CHANGES } from '../core/roles.ts'
import type { FaultKind } from './fault-schedule.ts'
import { nameOfChange } from './role-changes.ts'
import { type About, runSeed } from './run-seed.ts'
import { NOTHING, type Summary, summaryOf, together } from './summary.ts'

/** For a thread: so much work that handing it over costs nothing. */
const PORTION = 25

export interface SimOptions {
  readonly seeds: number
  /** Default `mixed`. */
  readonly about?: About
  /** Whether configs are applied while they run. Default false. */
  readonly applies?: boolean
  /** Only these kinds of faults. Default: all. */
  readonly kinds?: readonly FaultKind[]
  /** The first seed. Default 1. */
  readonly from?: number
  /** Default 1: in this thread. More need the built program: they are threads of its own. */
  readonly cores?: number
  /** Of the user's own; made up from each seed when absent. */
  readonly cluster?: ClusterSpec
  /** Stop at the first seed that breaks a promise. */
  readonly untilBroken?: boolean
  /** Ends it early; what was done is reported. */
  readonly signal?: AbortSignal
  onProgress?(sofar: Summary): void
}

export interface Portion {
  readonly about: About
  readonly applies?: boolean
  readonly kinds?: readonly FaultKind[]
  readonly from: number
  readonly count: number
  /** Leave out what comes after the first seed that breaks a promise. */
  readonly untilBroken?: boolean
}

export async function runSim(options: SimOptions): Promise<Summary> {
  const { cores = 1, from = 1, seeds } = options
  let next = from
  let sum = NOTHING
  const isOver = () => options.signal?.aborted || (options.untilBroken && sum.broken.length > 0)
  const take = (): Portion | undefined => {
    if (next >= from + seeds || isOver()) return undefined
    const { about = 'mixed', applies = false, kinds, untilBroken = false } = options
    const count = Math.min(cores === 1 ? 1 : PORTION, from + seeds - next)
    const portion = { about, applies, from: next, count, untilBroken, ...(kinds && { kinds }) }
    next += portion.count
    return portion
  }
  const add = (part: Summary) => {
    sum = together(sum, part)
    options.onProgress?.(sum)
  }
  if (cores === 1) for (let portion = take(); portion; portion = take()) add(await runPortion(portion, options.cluster))
  else await Promise.all(Array.from({ length: cores }, () => inThread(take, add, options)))
  return sum
}

export async function runPortion(portion: Portion, cluster?: ClusterSpec): Promise<Summary> {
  const { from, count, untilBroken, ...how } = portion
  let sum = NOTHING
  for (let seed = from; seed < from + count && !(untilBroken && sum.broken.length > 0); seed += 1)
    sum = together(sum, summaryOf(await runSeed({ seed, ...how, ...(cluster && { cluster }) })))
  return sum
}

function inThread(
  take: () => Portion | undefined,
  add: (part: Summary) => void,
  { cluster, signal }: Pick<SimOptions, 'cluster' | 'signal'>,
): Promise<void> {
  const worker = new Worker(new URL('./seed-worker.js', import.meta.url), { workerData: { cluster } })
  return new Promise<void>((resolve, reject) => {
    const hand = () => {
      const portion = take()
      if (portion) worker.postMessage(portion)
      else resolve()
    }
    worker.on('message', (part: Summary) => {
      add(part)
      hand()
    })
    signal?.addEventListener('abort', () => resolve(), { once: true })
    worker.on('error', reject)
    worker.on('exit', (code) => reject(new Error(`a thread of the simulator ended with code ${code}`)))
    hand()
  }).finally(() => worker.terminate())
}

/** What these seeds did not reach: rules that were never reported, and role changes that never happened. */
export function unreached(sum: Summary, rules: readonly string[]): string[] {
  const told = new Set(Object.keys(sum.rules).map((row) => row.slice(0, row.lastIndexOf(' '))))
  const changes = ROLE_CHANGES.map(nameOfChange)
  return [...rules.filter((rule) => !told.has(rule)), ...changes.filter((change) => !sum.roleChanges[change])]
}
