/** What a settled situation means for one service: read off, not decided. */
import type { NodeName, ServiceName, ServiceSpec } from '../core/model.ts'
import { routesFor } from '../core/routing.ts'
import { formatDuration } from '../lib/duration.ts'
import { type Loss, lossAfter } from './acknowledged-loss.ts'
import type { Course, Done } from './course.ts'
import { type Measured, measuredFor } from './measured.ts'
import type { Replicated } from './replicated-outcome.ts'
import { type Settled, servedBy } from './settle.ts'
import type { Situation } from './situation.ts'
import { viewsOf } from './views.ts'

export interface Outcome {
  readonly service: ServiceName
  /** Does it do its work in the end? For a service that replicates: does it take writes? */
  readonly served: boolean
  /** Where, in the end. */
  readonly by: readonly NodeName[]
  /** Instances that are healthy in the end, standbys included; and how many are asked for. */
  readonly copies: number
  readonly wanted: number
  /** The primary in the end; null when there is none, or never one. */
  readonly primary: NodeName | null
  /** Which nodes could take over, best first; empty when none had to. */
  readonly order: readonly NodeName[]
  readonly evidence: Course['evidence']
  /** From the failure until it is served again, at most; 0 when it always was; null when it never is. */
  readonly pauseMs: number | null
  readonly pauseFrom: 'timing' | 'receipts'
  /** It is served on for this long and then stops; null when it does not stop, or stops at once. */
  readonly stopsAfterMs: number | null
  readonly loss: Loss
  /** Of a service that replicates and takes no writes: which node answers reads; null when none does, or writes go on. */
  readonly reads: NodeName | null
  /** It takes writes without a standby to confirm them (`degrade: 'run-alone'`): the last replica is the only one. */
  readonly alone: boolean
  /** Nodes whose balancer routes to it in the end; null when it has no endpoint. */
  readonly balancers: readonly NodeName[] | null
  readonly objective: 'none' | 'met' | 'missed'
  /** What is wrong, as a sentence; empty when nothing is. */
  readonly why: string
  readonly done: readonly Done[]
}

export function outcomeOf(situation: Situation, settled: Settled, service: ServiceSpec, measured: Measured): Outcome {
  const after = settled.replicated.get(service.name)
  const by = after ? listed(after.primary) : servedBy(situation, service)
  const course = courseOf(settled, service, after)
  const primary = service.redundancy === 'active-passive' ? by[0] : undefined
  const loss = lossAfter(situation, service, after)
  const balancers = service.endpoints.length === 0 ? null : balancersTo(situation, service, by)
  const served =
    by.length > 0 &&
    (service.traits.replicates ? after?.writes === true : true) &&
    (balancers === null || balancers.length > 0)
  const { pauseMs, pauseFrom } = pauseOf(situation, course, service, served, measured)
  const missed = objectiveMissed(service, pauseMs, loss)
  const stopsAfterMs = !served && course.awayAtMs !== null && course.awayAtMs > 0 ? course.awayAtMs : null
  return {
    service: service.name,
    served,
    by: served ? by : [],
    copies: wellCount(situation, service),
    wanted: service.instances,
    primary: primary ?? null,
    order: course.order,
    evidence: course.evidence,
    pauseMs,
    pauseFrom,
    stopsAfterMs,
    loss,
    reads: after?.reads ?? null,
    alone: after?.alone ?? false,
    balancers,
    objective: hasObjective(service) ? (missed === '' ? 'met' : 'missed') : 'none',
    why: served ? missed : whyNot(situation, service, by, after?.why ?? ''),
    done: settled.done.filter(({ step }) => 'service' in step && step.service === service.name),
  }
}

const listed = (node: NodeName | null): NodeName[] => (node === null ? [] : [node])

function courseOf({ courses }: Settled, { name }: ServiceSpec, after: Replicated | undefined): Course {
  if (!after) return courses.get(name) ?? CALM
  const { pauseMs, order, evidence } = after
  return { awayAtMs: pauseMs === 0 ? null : 0, backAtMs: pauseMs, order, evidence }
}

const CALM: Course = { awayAtMs: null, backAtMs: null, order: [], evidence: 'none' }

function pauseOf(
  situation: Situation,
  { awayAtMs, backAtMs, evidence }: Course,
  service: ServiceSpec,
  served: boolean,
  measured: Measured,
): Pick<Outcome, 'pauseMs' | 'pauseFrom'> {
  if (!served) return { pauseMs: null, pauseFrom: 'timing' }
  const byTiming = awayAtMs === null ? 0 : (backAtMs ?? 0) - awayAtMs
  const balancerMs = service.endpoints.length > 0 ? balancerPauseMs(situation) : 0
  const seen = byTiming > 0 ? measuredFor(measured, service.name, evidence) : undefined
  if (seen === undefined) return { pauseMs: Math.max(byTiming, balancerMs), pauseFrom: 'timing' }
  const silenceMs = evidence === 'silence' ? situation.hearing.suspectAfterMs : 0
  return { pauseMs: Math.max(seen + silenceMs, balancerMs), pauseFrom: 'receipts' }
}

/** A balancer that ended is back soon; that is felt only when no other is open meanwhile. */
function balancerPauseMs({ setting, hearing, effect }: Situation): number {
  const open = setting.cluster.nodes.filter(({ name }) => hearing.lives(name) && !effect.balancers.includes(name))
  return effect.balancers.length > 0 && open.length === 0 ? setting.assumed.balancerBackMs : 0
}

/** By the routing tables that the living agents would hand to their balancers, as far as these reach. */
function balancersTo(situation: Situation, { name, traits }: ServiceSpec, by: readonly NodeName[]): NodeName[] {
  const { hearing, setting } = situation
  if (traits.replicates) {
    const living = setting.cluster.nodes.map((node) => node.name).filter((node) => hearing.lives(node))
    return living.filter((node) => by.some((primary) => hearing.hears(node, primary)))
  }
  const viewOf = viewsOf(situation)
  return setting.cluster.nodes
    .map((node) => node.name)
    .filter((node) => hearing.lives(node))
    .filter((node) =>
      routesFor(viewOf(node)).some(
        ({ service, targets }) =>
          service === name &&
          targets.some(
            (target) => target.state === 'serving' && by.includes(target.node) && hearing.hears(node, target.node),
          ),
      ),
    )
}

function wellCount({ setting, instances }: Situation, { name }: ServiceSpec): number {
  return setting.cluster.nodes.filter((node) => {
    const report = instances.get(`${node.name} ${name}`)?.report
    return report?.state === 'running' && report.health === 'healthy'
  }).length
}

function hasObjective({ objectives }: ServiceSpec): boolean {
  return objectives.rtoMs !== undefined || objectives.rpo !== undefined
}

function objectiveMissed({ objectives }: ServiceSpec, pauseMs: number | null, loss: Loss): string {
  const { rtoMs, rpo } = objectives
  if (rtoMs !== undefined && pauseMs === null) return `it is not back within ${formatDuration(rtoMs)}`
  if (rtoMs !== undefined && pauseMs !== null && pauseMs > rtoMs)
    return `back after ${formatDuration(pauseMs)}, the objective is ${formatDuration(rtoMs)}`
  if (rpo === 0 && loss === 'possible') return 'acknowledged writes may be lost, the objective is none'
  return ''
}

function whyNot(situation: Situation, service: ServiceSpec, by: readonly NodeName[], copiesWhy: string): string {
  const { hearing, setting } = situation
  const living = setting.cluster.nodes.filter(({ name }) => hearing.lives(name)).map(({ name }) => name)
  if (living.length === 0) return 'no node is left'
  const usable = living.filter((name) => service.nodes.length === 0 || service.nodes.includes(name))
  if (usable.length === 0) return `it may use ${service.nodes.join(', ')} only, and none of them is left`
  if (copiesWhy !== '') return copiesWhy
  if (by.length > 0) return 'no remaining endpoint leads to it'
  if (!hearing.storeAnswers) return 'the store is away'
  const waits = service.needs.filter((need) => {
    const spec = setting.cluster.services.find(({ name }) => name === need)
    return spec !== undefined && servedBy(situation, spec).length === 0
  })
  return waits.length > 0 ? `it waits for ${waits.join(', ')}` : 'no instance of it runs'
}
