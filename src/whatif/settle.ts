/**
 * Lets the nodes of an imagined cluster act until none of them has anything left to do. START HERE: this is where the real
 * decisions are asked for.
 *
 *     situation ─▶ a View for each living node ─▶ core/decide.ts ─▶ acts ─▶ perform ─▶ situation
 *
 * Time jumps from one moment at which something happens to the next: a program has started, a silence has become
 * suspicious, a lease has ended. So an answer takes microseconds, and the time that it says is virtual.
 */
import { decide } from '../core/decide.ts'
import { candidatesFor } from '../core/election.ts'
import type { InstanceReport, NodeName, ServiceName, ServiceSpec } from '../core/model.ts'
import type { View } from '../core/view.ts'
import type { Course, Done } from './course.ts'
import { KNOWN_STEPS, perform } from './perform.ts'
import { type Replicated, replicatedAfter } from './replicated-outcome.ts'
import { after, at, type Situation } from './situation.ts'
import { viewsOf } from './views.ts'

export interface Settled {
  readonly done: readonly Done[]
  readonly courses: ReadonlyMap<ServiceName, Course>
  /** What became of services that replicate, decided by other rules. */
  readonly replicated: ReadonlyMap<ServiceName, Replicated>
  /** Steps that this model does not know. */
  readonly unknown: readonly string[]
  /** False when the nodes went on and on: no program starts, or they disagree for ever. */
  readonly isQuiet: boolean
}

/** More than any failure needs by far; more would be an endless loop. */
const MOMENTS = 300

export function settle(situation: Situation): Settled {
  const { services } = situation.setting.cluster
  const done: Done[] = []
  const courses = new Map<ServiceName, Course>(
    services.map(({ name }) => [name, { awayAtMs: null, backAtMs: null, order: [], evidence: 'none' }]),
  )
  const unknown = new Set<string>()
  const replicated = situation.calm ? replicatedIn(situation, services, done) : new Map<ServiceName, Replicated>()
  watch(situation, services, courses)
  // No node has noticed anything yet at the moment of the failure. Silence takes longer still: until then every view is
  // as it was, and the nodes have nothing left to do in those.
  if (situation.calm) situation.nowMs += situation.setting.assumed.noticeMs
  if (situation.calm && isSilenceOnly(situation)) jump(situation)
  for (let moment = 0; moment < MOMENTS; moment += 1) {
    const acted = oneMoment(situation, done, courses, unknown)
    watch(situation, services, courses)
    if (!acted && !jump(situation)) return { done, courses, replicated, unknown: [...unknown], isQuiet: true }
    watch(situation, services, courses)
  }
  return { done, courses, replicated, unknown: [...unknown], isQuiet: false }
}

/** Decided at once, and seen by the nodes that need it when it has come about. */
function replicatedIn(
  situation: Situation,
  services: readonly ServiceSpec[],
  done: Done[],
): Map<ServiceName, Replicated> {
  const found = new Map<ServiceName, Replicated>()
  const { noticeMs, startMs } = situation.setting.assumed
  for (const service of services) {
    const result = service.traits.replicates ? replicatedAfter(situation, service) : undefined
    if (!result) continue
    found.set(service.name, result)
    done.push(...result.done)
    for (const { name } of situation.setting.cluster.nodes) {
      const key = at(name, service.name)
      if (!situation.instances.has(key)) continue
      const role = name === result.primary ? 'primary' : 'standby'
      const waitMs = role === 'primary' ? (result.pauseMs ?? noticeMs + startMs) : noticeMs + startMs
      // A probe is a write: where none is acknowledged the primary is unhealthy, and what needs it is not started.
      const health = role === 'primary' && !result.writes ? 'unhealthy' : 'healthy'
      after(situation, waitMs, () => runs(situation, key, { role, health }))
    }
  }
  return found
}

function runs(situation: Situation, key: string, as: Pick<InstanceReport, 'role' | 'health'>): void {
  const now = situation.instances.get(key)
  if (!now) return
  const { state, role, health } = now.report
  if (state === 'running' && role === as.role && health === as.health) return
  const report = { ...now.report, ...as, state: 'running', failures: 0 } as const
  situation.instances.set(key, { report, sinceMs: situation.nowMs })
}

function isSilenceOnly({ effect, hearing, setting }: Situation): boolean {
  if (effect.nodes.length === 0 || effect.instances.length > 0) return false
  return setting.cluster.nodes.every(({ name }) => !hearing.lives(name) || hearing.reachesStore(name))
}

/** Every living node looks and acts once, in the order of writing; each sees what the one before it did. */
function oneMoment(
  situation: Situation,
  done: Done[],
  courses: ReadonlyMap<ServiceName, Course>,
  unknown: Set<string>,
): boolean {
  let acted = false
  let viewOf = viewsOf(situation)
  for (const { name } of situation.setting.cluster.nodes) {
    if (!situation.hearing.lives(name)) continue
    const view = viewOf(name)
    for (const { step, rule, why } of decide(view).acts) {
      if (!KNOWN_STEPS.includes(step.kind)) unknown.add(step.kind)
      if (step.kind === 'take-lead') noteTakeover(view, step.service, courses.get(step.service))
      if (!perform(situation, name, step)) continue
      acted = true
      viewOf = viewsOf(situation)
      done.push({ atMs: situation.nowMs - situation.failedAtMs, node: name, step, rule, why })
    }
  }
  return acted
}

function noteTakeover(view: View, service: ServiceName, course: Course | undefined): void {
  const spec = view.cluster.services.find(({ name }) => name === service)
  if (!spec || !course || course.evidence !== 'none') return
  course.order = candidatesFor(view, spec)
    .filter(({ able }) => able)
    .map(({ node }) => node)
  course.evidence = view.store.services[service]?.vacancy ? 'first-hand' : 'silence'
}

/** To the next moment at which something happens; false when nothing is left to happen. */
function jump(situation: Situation): boolean {
  const { due } = situation
  due.splice(0, due.length, ...due.filter(({ matters }) => matters()))
  if (due.length === 0) return false
  const nextMs = Math.max(
    situation.nowMs,
    due.reduce((least, { atMs }) => Math.min(least, atMs), Number.POSITIVE_INFINITY),
  )
  situation.nowMs = nextMs
  const now = due.filter(({ atMs }) => atMs <= nextMs)
  const later = due.filter(({ atMs }) => atMs > nextMs)
  due.splice(0, due.length, ...later)
  for (const { happen } of now) happen()
  return true
}

function watch(
  situation: Situation,
  services: readonly ServiceSpec[],
  courses: ReadonlyMap<ServiceName, Course>,
): void {
  const atMs = situation.nowMs - situation.failedAtMs
  for (const service of services) {
    const course = courses.get(service.name)
    if (!course) continue
    const isServed = servedBy(situation, service).length > 0
    if (!isServed) {
      course.awayAtMs ??= atMs
      course.backAtMs = null
    } else if (course.awayAtMs !== null) course.backAtMs ??= atMs
  }
}

/** The living nodes on which a service does its work now. */
export function servedBy(situation: Situation, service: ServiceSpec): NodeName[] {
  const role = service.redundancy === 'active-passive' ? 'primary' : 'active'
  return situation.setting.cluster.nodes.flatMap(({ name }) => {
    const report = situation.instances.get(at(name, service.name))?.report
    return report?.role === role && report.state === 'running' && report.health === 'healthy' ? [name] : []
  })
}
