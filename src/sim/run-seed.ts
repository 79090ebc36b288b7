/**
 * One seed in, one verdict and one hash out. A safety phase in which things break; then everything is healed, and within
 * a bound every service must be as it should be and stay so: nothing flaps and no step repeats.
 */

import type { ClusterSpec } from '../core/model.ts'
import { onFault } from '../lib/background.ts'
import { type Random, seededRandom } from '../lib/random.ts'
import { repair } from './apply-changes.ts'
import { applyCluster, applyProfileOf, drawApplies, watchCapacity } from './apply-worlds.ts'
import { DATABASE_SCHEDULE, databaseCluster } from './database/database-schedule.ts'
import { drawSequence } from './database/sequences.ts'
import { faultsAtSteps } from './database/step-faults.ts'
import { inject } from './fault-injection.ts'
import type { Fault, FaultKind } from './fault-schedule.ts'
import { type MadeUpService, madeUpCluster } from './made-up-cluster.ts'
import { drawFor, profileOf, watchManner } from './run-profile.ts'
import { unsettled } from './settled.ts'
import { type Happened, World } from './sim-world.ts'
import { added, type Counts, type Verdict } from './summary.ts'

/**
 * After healing, every service is as it should be within this time. The longest wait is the back-off of a program that
 * kept crashing (30 s), then come a lease and a start.
 */
export const SETTLED_WITHIN_MS = 45_000
/** And then nothing is done for this long. */
const QUIET_FOR_MS = 3_000

/** An operator looks so often whether a version with a flaw is to be replaced. */
const REPAIRED_EVERY_MS = 5_000

const STARTED_AFTER_MS = 500
const FAULTS_OVER_MS = 6_000

/** `mixed`: a fourth of the seeds is about a database, the others about processes. */
export type About = 'processes' | 'database' | 'mixed'

export interface RunOptions {
  readonly seed: number
  /** What the world is about: process services, or a replicated database. Default `mixed`. A cluster of the user's own says it itself. */
  readonly about?: About
  /** Of the user's own; made up from the seed when absent. */
  readonly cluster?: ClusterSpec
  /** Whether configs are applied while it runs. Default false. */
  readonly applies?: boolean
  /** Instead of the seed's own: what shrinking passes in. */
  readonly faults?: readonly Fault[]
  /** Only these. Default: all that suit what the world is about. */
  readonly kinds?: readonly FaultKind[]
  readonly onHappened?: (happened: Happened) => void
  /** As in WorldOptions. */
  readonly freezes?: boolean
}

export async function runSeed(options: RunOptions): Promise<Verdict> {
  const random = seededRandom(options.seed)
  const isDatabase = isAboutDatabase(options)
  const { applies = false } = options
  const madeUp = () => (isDatabase ? databaseCluster(random) : clusterOf(random))
  const cluster = options.cluster ?? (applies ? applyCluster(isDatabase, random) : madeUp())
  const profile = applies ? applyProfileOf(options.seed) : undefined
  const manner = isDatabase || applies || options.kinds ? 'anything' : profileOf(options.seed)
  const count = 2 + Math.floor(random() * 9)
  const kinds = options.kinds && { kinds: options.kinds }
  const schedule = { count, fromMs: 0, overMs: FAULTS_OVER_MS, ...(isDatabase && DATABASE_SCHEDULE), ...kinds }
  const drawn = profile ? drawApplies(profile, cluster, isDatabase, random) : drawFor(manner, cluster, schedule, random)
  // What happens in a sequence of its own is not to be drowned by chance.
  const sequence = isDatabase && !applies && !options.kinds ? drawSequence(seededRandom(~options.seed)) : undefined
  const faults = options.faults ?? (sequence ? drawn.slice(0, sequence.otherFaults) : drawn)
  const { freezes = false } = options
  const world = new World({ cluster, seed: Math.floor(random() * 2 ** 32), drift: 0.001, freezes })
  if (options.onHappened) world.onHappened(options.onHappened)
  world.start()
  for (const fault of faults) world.clock.after(STARTED_AFTER_MS + fault.atMs, () => inject(world, fault))
  const strikes = isDatabase && !options.kinds && (!profile || profile === 'with faults')
  const spare = sequence?.begin(world) ?? (strikes ? faultsAtSteps(world, seededRandom(options.seed)) : () => undefined)
  const endOfFaults = Math.max(sequence?.overMs ?? 0, ...faults.map((fault) => fault.atMs + fault.forMs))
  const isBroken = () => world.violations.length > 0
  let endWatch = () => {}
  world.clock.after(STARTED_AFTER_MS, () => {
    const broken = (sentence: string) => world.broken(sentence)
    endWatch = profile ? watchCapacity(profile, world, broken) : watchManner(manner, world, broken)
  })
  // What an agent outlives is still a fault of it.
  const deaf = onFault((what, error) => world.broken(`a fault in ${what}: ${error.message}`))
  let settledAfterMs = 0
  try {
    await world.clock.runUntil(STARTED_AFTER_MS + endOfFaults + 1, isBroken)
    endWatch()
    spare()
    if (!isBroken()) settledAfterMs = await settle(world)
  } finally {
    deaf()
  }
  return verdictOf(options.seed, world, faults, settledAfterMs)
}

const DATABASE_EVERY = 4

function isAboutDatabase({ seed, about = 'mixed', cluster }: RunOptions): boolean {
  if (cluster) return cluster.services.some(({ traits }) => traits.replicates)
  return about === 'mixed' ? seed % DATABASE_EVERY === 2 : about === 'database'
}

async function settle(world: World): Promise<number> {
  world.heal()
  world.tell('-', 'everything is healed')
  const healedAt = world.nowMs
  let quietSince = world.nowMs
  let done = [world.stepsDone, world.stepsFailed, world.processChanges].join()
  let lookedAt = world.nowMs
  let repairedAt = world.nowMs
  let settled = false
  const isOver = () => {
    if (settled || world.violations.length > 0) return true
    if (world.nowMs - lookedAt < 100) return false
    lookedAt = world.nowMs
    const now = [world.stepsDone, world.stepsFailed, world.processChanges].join()
    if (now !== done) quietSince = world.nowMs
    if (world.nowMs - repairedAt >= REPAIRED_EVERY_MS) {
      repairedAt = world.nowMs
      repair(world)
    }
    done = now
    settled = world.nowMs - quietSince >= QUIET_FOR_MS && unsettled(world).length === 0
    return settled
  }
  await world.clock.runUntil(healedAt + SETTLED_WITHIN_MS, isOver)
  if (!settled && world.violations.length === 0) {
    const why = unsettled(world).join('; ') || 'steps go on and on'
    world.violations.push({ atMs: world.nowMs, sentence: `not settled ${SETTLED_WITHIN_MS} ms after healing: ${why}` })
  }
  return quietSince - healedAt
}

function verdictOf(seed: number, world: World, faults: readonly Fault[], settledAfterMs: number): Verdict {
  return {
    seed,
    hash: world.digest.toString(),
    broken: world.violations.map(({ atMs, sentence }) => `at ${Math.round(atMs)} ms: ${sentence}`),
    faults,
    injected: Object.fromEntries(world.faults),
    unpromised: [...world.ledgers.values()].reduce<Counts>((sum, { unpromised }) => added(sum, unpromised), {}),
    virtualMs: Math.round(world.nowMs),
    failovers: Math.max(
      0,
      termsWon(world) - world.cluster.services.filter((one) => one.redundancy === 'active-passive').length,
    ),
    steps: world.stepsDone,
    applied: world.applied,
    settledAfterMs: Math.round(settledAfterMs),
    rules: Object.fromEntries(world.rules),
    roleChanges: Object.fromEntries(world.roleChanges),
  }
}

/** Changes of primary: leads that were granted, and for databases terms in which clients were admitted. */
function termsWon(world: World): number {
  return world.truth.grants.length + [...world.ledgers.values()].reduce((sum, { openings }) => sum + openings, 0)
}

const SHAPES: readonly (readonly [nodes: readonly string[], weight: number])[] = [
  [['a:north', 'b:south', 'c:west'], 6],
  [['a:north', 'b:south'], 1],
  [['a:north', 'b:north', 'c:south', 'd:south'], 1],
  [['a:north', 'b:north', 'c:south', 'd:south', 'e:west'], 1],
]

/** Compiled once for each shape and set of services: compiling is slower than a whole run. */
const compiled = new Map<string, ClusterSpec>()

function clusterOf(random: Random): ClusterSpec {
  const pool = SHAPES.flatMap(([nodes, weight]) => Array<readonly string[]>(weight).fill(nodes))
  const nodes = pool[Math.floor(random() * pool.length)] ?? []
  const standby = random() < 0.5 ? 'warm' : 'cold'
  const instances = 1 + Math.floor(random() * Math.min(3, nodes.length))
  const passiveHttp = random() < 0.3
  const needs = random() < 0.5 ? ['worker'] : []
  const key = [nodes.length, standby, instances, passiveHttp, needs.length].join()
  const known = compiled.get(key)
  if (known) return known
  const services: MadeUpService[] = [
    { name: 'worker', kind: 'command', redundancy: 'active-passive', instances: Math.min(2, nodes.length), standby },
    passiveHttp
      ? { name: 'api', kind: 'http', redundancy: 'active-passive', instances, standby }
      : { name: 'web', kind: 'http', redundancy: 'active-active', instances, standby: 'cold', needs },
  ]
  const spec = madeUpCluster(
    nodes.map((text) => ({ name: text.slice(0, 1), zone: text.slice(2) })),
    services,
  )
  compiled.set(key, spec)
  return spec
}
