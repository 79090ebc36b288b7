/**
 * What goes wrong in a random run, as data: a list of moments at which something breaks and, for most, until when. It is
 * drawn before the run, so that a failing seed can be shrunk by leaving faults out (shrink.ts) and told as a story.
 *
 * What is promised holds for any number of faults but one combination: an agent that is frozen while its fence is dead
 * (agent/fence-process.ts says so). A schedule therefore never freezes an agent around the death of its fence.
 */
import type { ClusterSpec, NodeName, ServiceName } from '../core/model.ts'
import type { Random } from '../lib/random.ts'
import { STORE } from './store-handle.ts'

/** What only replicas can suffer from (database/). */
export type CopyFaultKind = (typeof OF_COPIES)[number]

const OF_COPIES = [
  'pause replay',
  'block replay',
  'slow replay',
  'slow disk',
  'cancel waits',
  'open transaction',
  'stuck receiver',
  'late receiver',
  'slow checkpoint',
  'failing rewind',
  'foreign log',
  'hasty start',
  'lost log',
  'broken stream',
  'half-open stream',
] as const

/** Clients that want from a replica what it must not give (database/foreign-clients.ts). */
export type StrangerKind = (typeof OF_STRANGERS)[number]

const OF_STRANGERS = ['impostor', 'hasty writer', 'standby reader', 'stale reader'] as const

/** What operators change while it runs (apply-changes.ts). */
export type ApplyKind = (typeof OF_APPLIES)[number]

const OF_APPLIES = [
  'new version',
  'bad version',
  'in-place change',
  'two applies',
  'restart service',
  'stop service',
  'add service',
  'remove service',
  'take out node',
] as const

/** These leave the number of instances as it is. */
export const VERSION_KINDS: readonly ApplyKind[] = OF_APPLIES.slice(0, 5)
export const APPLY_KINDS: readonly ApplyKind[] = OF_APPLIES

/** Beside faults. */
export const APPLY_WEIGHTS: Readonly<Record<ApplyKind, number>> = {
  'new version': 26,
  'bad version': 18,
  'in-place change': 8,
  'two applies': 12,
  'restart service': 14,
  'stop service': 8,
  'add service': 8,
  'remove service': 10,
  'take out node': 12,
}

export type FaultKind = Fault['kind']

export type Fault = { readonly atMs: number; readonly forMs: number } & (
  | { readonly kind: 'kill process' | 'freeze process'; readonly node: NodeName; readonly service: ServiceName }
  | { readonly kind: 'kill primary' | 'freeze primary'; readonly service: ServiceName }
  | {
      readonly kind: 'unhealthy' | 'crash loop' | 'refused' | 'stubborn'
      readonly node: NodeName
      readonly service: ServiceName
    }
  | {
      readonly kind: 'kill agent' | 'freeze agent' | 'pause agent' | 'kill node' | 'kill fence' | 'kill agent and fence'
      readonly node: NodeName
    }
  | { readonly kind: 'drain'; readonly node: NodeName }
  | { readonly kind: 'slow kills' | 'dying link' | 'fill disk'; readonly node: NodeName }
  | { readonly kind: 'jump clock'; readonly node: NodeName; readonly byMs: number }
  | { readonly kind: 'cut' | 'cut one way' | 'slow link'; readonly from: string; readonly to: string }
  | { readonly kind: 'cut off'; readonly node: NodeName }
  | { readonly kind: 'store away' | 'store full' | 'store unsure' | 'store slow' | 'bad weather' }
  | { readonly kind: 'switchover'; readonly service: ServiceName; readonly to: NodeName }
  | { readonly kind: 'stop cluster' }
  | { readonly kind: CopyFaultKind; readonly node: NodeName; readonly service: ServiceName }
  | { readonly kind: StrangerKind; readonly node: NodeName; readonly service: ServiceName }
  | { readonly kind: ApplyKind; readonly node: NodeName; readonly service: ServiceName }
)

/** How often each kind is drawn, relative to the others. */
export const WEIGHTS: Readonly<Record<Exclude<FaultKind, CopyFaultKind | StrangerKind | ApplyKind>, number>> = {
  'kill process': 6,
  'freeze process': 3,
  'kill primary': 8,
  'freeze primary': 4,
  unhealthy: 3,
  'crash loop': 3,
  refused: 3,
  stubborn: 2,
  'kill agent': 8,
  'freeze agent': 10,
  'pause agent': 4,
  'kill node': 8,
  'kill fence': 2,
  'kill agent and fence': 4,
  drain: 4,
  'slow kills': 3,
  'dying link': 5,
  'fill disk': 2,
  'jump clock': 2,
  cut: 6,
  'cut one way': 6,
  'slow link': 4,
  'cut off': 5,
  'store away': 6,
  'store full': 2,
  'store unsure': 5,
  'store slow': 4,
  'bad weather': 4,
  switchover: 8,
  'stop cluster': 0.5,
}

/** Every name that there is. */
export const FAULT_KINDS: readonly FaultKind[] = [
  ...(Object.keys(WEIGHTS) as FaultKind[]),
  ...OF_COPIES,
  ...OF_STRANGERS,
  ...OF_APPLIES,
]

export interface Schedule {
  readonly count: number
  readonly fromMs: number
  readonly overMs: number
  readonly kinds?: readonly FaultKind[]
  /** Default WEIGHTS. */
  readonly weights?: Weights
  /** The share of faults that come soon after another one. Default 0. */
  readonly bursts?: number
}

export type Weights = Readonly<Partial<Record<FaultKind, number>>>

const SOON_MS = 400

export function drawFaults(cluster: ClusterSpec, schedule: Schedule, random: Random): Fault[] {
  const faults: Fault[] = []
  for (let left = schedule.count; left > 0; left -= 1) {
    const drawn = drawFault(cluster, schedule, random)
    const after = schedule.bursts !== undefined && random() < schedule.bursts ? faults.at(-1) : undefined
    const fault = after ? { ...drawn, atMs: Math.round(after.atMs + SOON_MS * random()) } : drawn
    if (!faults.some((other) => disarms(fault, other) || disarms(other, fault))) faults.push(fault)
  }
  return faults.sort((a, b) => a.atMs - b.atMs)
}

function drawFault(
  cluster: ClusterSpec,
  { fromMs, overMs, kinds, weights = WEIGHTS }: Schedule,
  random: Random,
): Fault {
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T
  const kind = pickWeighted(kinds ?? (Object.keys(weights) as FaultKind[]), weights, random)
  const node = pick(cluster.nodes).name
  const other = pick([...cluster.nodes.map(({ name }) => name).filter((name) => name !== node), STORE])
  const service = pick(cluster.services).name
  const atMs = Math.round(fromMs + overMs * random())
  // Mostly around the length of a lease, where the trouble is.
  const usual = Math.round(random() < 0.7 ? 100 + 3_500 * random() : 6_000 * random())
  const forMs = kind === 'pause agent' ? Math.round(usual / 6) : usual
  const byMs = Math.round((random() - 0.5) * 7_200_000)
  const to = pick(cluster.nodes).name
  return { kind, atMs, forMs, node, from: node, to: LINK_WIDE.has(kind) ? other : to, service, byMs } as Fault
}

function pickWeighted(kinds: readonly FaultKind[], weights: Weights, random: Random): FaultKind {
  const weightOf = (kind: FaultKind) => weights[kind] ?? 1 // what was asked for by name has some weight
  let left = random() * kinds.reduce((sum, kind) => sum + weightOf(kind), 0)
  for (const kind of kinds) {
    left -= weightOf(kind)
    if (left < 0) return kind
  }
  return kinds[0] as FaultKind
}

const FENCE_BACK_MS = 2_500

function disarms(fence: Fault, agent: Fault): boolean {
  if (agent.kind !== 'freeze agent' && agent.kind !== 'pause agent') return false
  if ((fence.kind !== 'kill fence' && fence.kind !== 'kill agent and fence') || fence.node !== agent.node) return false
  const deadForMs = fence.kind === 'kill fence' ? 0 : fence.forMs
  return agent.atMs < fence.atMs + deadForMs + FENCE_BACK_MS && fence.atMs < agent.atMs + agent.forMs + FENCE_BACK_MS
}

export function describeFault(fault: Fault): string {
  const about = { node: '', service: '', from: '', to: '', ...fault }
  const on = LINK_WIDE.has(fault.kind)
    ? `${about.from} ${fault.kind === 'cut one way' ? '->' : '<->'} ${about.to}`
    : fault.kind === 'switchover'
      ? `${about.service} to ${about.to}`
      : fault.kind.includes('primary')
        ? about.service
        : 'service' in fault && !NODE_WIDE.has(fault.kind)
          ? `${about.node}.${about.service}`
          : about.node
  const span = INSTANT.has(fault.kind) ? '' : ` for ${fault.forMs} ms`
  const wide = CLUSTER_WIDE.has(fault.kind) ? '' : ` ${on}`
  return `at ${fault.atMs} ms: ${fault.kind}${wide}${span}`
}

const INSTANT = new Set<FaultKind>([
  'kill process',
  'kill primary',
  'kill agent',
  'kill fence',
  'jump clock',
  'switchover',
  'cancel waits',
  'lost log',
  'broken stream',
  'half-open stream',
  ...VERSION_KINDS,
])
const NODE_WIDE = new Set<FaultKind>([
  'take out node',
  'kill agent',
  'freeze agent',
  'kill node',
  'kill fence',
  'kill agent and fence',
  'drain',
  'slow kills',
  'dying link',
  'fill disk',
  'pause agent',
  'jump clock',
  'cut off',
])
const LINK_WIDE = new Set<FaultKind>(['cut', 'cut one way', 'slow link'])
const CLUSTER_WIDE = new Set<FaultKind>([
  'store away',
  'store full',
  'store unsure',
  'store slow',
  'bad weather',
  'stop cluster',
])
