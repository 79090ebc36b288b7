/** The basis of the cases about replicas: the world that an adapter provides, and the words that they are written in. */
import type { InstanceReport, NodeName, Term } from '../../core/model.ts'
import { comparePositions } from '../../core/replicated/quorum.ts'
import type { QuorumConfig, ReplicaReport } from '../../core/replicated/quorum-config.ts'
import { UnderstudyError } from '../../errors.ts'
import { assert } from '../../lib/assert.ts'
import type { PrimaryAddress, ReplicaDriver } from '../replica-driver.ts'

/** Three places for a replica each, and the faults that can be injected there. */
export interface ReplicaWorld {
  /** The driver of this node, adopted. */
  driver(node: NodeName): ReplicaDriver
  address(node: NodeName): PrimaryAddress
  /** The agent of a node dies and a new one comes: what runs goes on running. */
  newAgent(node: NodeName): Promise<void>
  /** Begins a write at the server of `node`, as a user that is admitted before clients are. */
  write(node: NodeName): Promise<Write>
  /** Is this write in the data of `node`? */
  holds(node: NodeName, write: Write): Promise<boolean>
  /** `end`: the server ends by itself. `freeze`: it is alive and deaf. `pause`: its replay is. */
  harm(node: NodeName, how: 'end' | 'freeze' | 'pause'): Promise<void>
  /** Lets time pass until `done`, for some seconds at most, or for `withinMs`; false when it never came. */
  passUntil(done: () => boolean, withinMs?: number): Promise<boolean>
}

export interface Write {
  readonly id: number
  /** Set when its quorum has it and its author was told. */
  acknowledged: boolean
}

export interface ReplicaCase {
  readonly name: string
  run(world: ReplicaWorld): Promise<void>
}

export const NODES = ['a', 'b', 'c'] as const
/** Long enough for anything that comes without being waited for. */
const A_WHILE_MS = 400
/** Each of them waits for as long as the driver does: some deadlines are less than a second, and a clone takes longer. */
const LEADS_WITHIN_TRIES = 60

export function quorum(term: Term, primary: NodeName, change: Partial<QuorumConfig> = {}): QuorumConfig {
  const standbys = NODES.filter((node) => node !== primary)
  return { term, primary, standbys, k: 1, id: `quorum-${term}-${primary}`, ...change }
}

/** `a` is primary in term 1, the others follow and count, the quorum row is durable. */
export async function begin(world: ReplicaWorld): Promise<void> {
  await world.driver('a').create(quorum(1, 'a'))
  for (const node of ['b', 'c']) await world.driver(node).follow(quorum(1, 'a'), world.address('a'))
  for (const node of ['b', 'c']) await until(world, node, 'counted', ({ quarantined }) => !quarantined)
  await until(world, 'a', 'durable', ({ quorumDurable }) => quorumDurable)
}

/** What the core does without `a`: recruit both, promote the furthest, and let the other one follow. */
export async function failOver(world: ReplicaWorld, term: Term): Promise<void> {
  await Promise.all([world.driver('b').recruit(term), world.driver('c').recruit(term)])
  const [best = 'b', other = 'c'] = furthestOf(world, ['b', 'c'])
  const next = quorum(term, best)
  const leads = leadDurably(world.driver(best), next)
  leads.catch(() => {}) // awaited below
  await untilReport(world, best, 'leading', ({ role }) => role === 'primary')
  await Promise.all([leads, world.driver(other).follow(next, world.address(best))])
}

/**
 * What agents do when a quorum has not confirmed the quorum row in time, as on a slow machine or during a long clone:
 * they repeat the verb. Any other refusal is one, and so is a quorum that never confirms.
 */
export async function leadDurably(driver: ReplicaDriver, next: QuorumConfig): Promise<void> {
  for (let left = LEADS_WITHIN_TRIES; ; left -= 1) {
    try {
      await driver.promoteReplica(next)
      break
    } catch (error) {
      const isLate = error instanceof UnderstudyError && error.code === 'UND_TIMED_OUT'
      if (!isLate || left === 1) throw error
    }
  }
  const report = driver.observe()
  assert(report.replica?.quorumDurable === true, `${next.primary} leads durably: ${JSON.stringify(report)}`)
}

export function leaderOf(world: ReplicaWorld): NodeName {
  const leader = ['b', 'c'].find((node) => world.driver(node).observe().role === 'primary')
  assert(leader !== undefined, 'one of the two leads')
  return leader
}

export function copyOf(world: ReplicaWorld, node: NodeName): ReplicaReport {
  const { replica } = world.driver(node).observe()
  assert(replica, `the driver of ${node} reports on its copy`)
  return replica
}

export function furthestOf(world: ReplicaWorld, nodes: readonly NodeName[]): NodeName[] {
  const at = (node: NodeName) => copyOf(world, node).position
  return [...nodes].sort((one, other) => {
    const [a, b] = [at(one), at(other)]
    assert(a && b, 'both are fenced and have data')
    return comparePositions(b, a)
  })
}

export function expectReport(
  world: ReplicaWorld,
  node: NodeName,
  expected: { readonly [K in keyof InstanceReport]?: InstanceReport[K] },
): void {
  const report: Partial<Record<string, unknown>> = { ...world.driver(node).observe() }
  for (const [key, value] of Object.entries(expected))
    assert(report[key] === value, `${key} of ${node} is ${JSON.stringify(value)}: ${JSON.stringify(report)}`)
}

export function expectCopy(
  world: ReplicaWorld,
  node: NodeName,
  expected: { readonly [K in keyof ReplicaReport]?: ReplicaReport[K] },
): void {
  const copy: Partial<Record<string, unknown>> = { ...copyOf(world, node) }
  for (const [key, value] of Object.entries(expected))
    assert(copy[key] === value, `${key} of ${node} is ${JSON.stringify(value)}: ${JSON.stringify(copy)}`)
}

export async function until(
  world: ReplicaWorld,
  node: NodeName,
  what: string,
  is: (copy: ReplicaReport) => boolean,
): Promise<void> {
  await untilReport(world, node, what, ({ replica }) => replica !== undefined && is(replica))
}

export async function untilReport(
  world: ReplicaWorld,
  node: NodeName,
  what: string,
  is: (report: InstanceReport) => boolean,
): Promise<void> {
  const came = await world.passUntil(() => is(world.driver(node).observe()))
  assert(came, `${node} becomes ${what}: ${JSON.stringify(world.driver(node).observe())}`)
}

export async function acknowledged(world: ReplicaWorld, write: Write): Promise<void> {
  assert(await world.passUntil(() => write.acknowledged), `write ${write.id} is acknowledged`)
}

export async function untilHeld(world: ReplicaWorld, node: NodeName, write: Write): Promise<void> {
  for (let left = 50; left > 0; left -= 1) {
    if (await world.holds(node, write)) return
    await world.passUntil(() => false, 50)
  }
  assert(false, `write ${write.id} comes to ${node}`)
}

/** By now every waiting write would have been acknowledged. */
export async function notAcknowledged(world: ReplicaWorld, write: Write): Promise<void> {
  await pass(world)
  assert(!write.acknowledged, `write ${write.id} is not acknowledged`)
}

export async function pass(world: ReplicaWorld): Promise<void> {
  await world.passUntil(() => false, A_WHILE_MS)
}
