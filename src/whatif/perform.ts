/**
 * What a decided step does to the imagined cluster, as agent/act.ts does it to a real one: programs start when they are
 * told to, leads are taken by compare-and-swap. A step that this file does not know does nothing and is named in the report,
 * because an answer that leaves something out must say so.
 */
import type { InstanceReport, NodeName, ServiceName, ServiceSpec } from '../core/model.ts'
import type { Step } from '../core/step.ts'
import { justStarted } from '../core/view.ts'
import { after, at, endInstance, leadFreed, type Situation } from './situation.ts'

/** Returns whether anything changed. */
export function perform(situation: Situation, node: NodeName, step: Step): boolean {
  switch (step.kind) {
    case 'start':
      return start(situation, node, step)
    case 'promote':
      return promote(situation, node, step)
    case 'stop':
      return stop(situation, node, step.service)
    case 'kill':
      endInstance(situation, at(node, step.service), 'was killed', 0)
      return true
    case 'take-lead':
      return takeLead(situation, node, step)
    case 'give-up-lead':
      return giveUpLead(situation, node, step)
    default:
      return false
  }
}

/** The steps above; all others are named. */
export const KNOWN_STEPS: readonly string[] = ['start', 'promote', 'stop', 'kill', 'take-lead', 'give-up-lead']

function start(situation: Situation, node: NodeName, { service, role, term }: Step & { kind: 'start' }): boolean {
  const key = at(node, service)
  const started = justStarted({ service, role, term })
  const fresh: InstanceReport = { ...started, pid: 1, startTime: situation.nowMs, port: 1 }
  situation.instances.set(key, { report: fresh, sinceMs: situation.nowMs })
  after(situation, situation.setting.assumed.startMs, () => {
    // It may have been promoted meanwhile; another run would have begun at another time.
    const now = situation.instances.get(key)
    if (now?.report.state !== 'running' || now.report.startTime !== fresh.startTime) return
    situation.instances.set(key, { report: { ...now.report, health: 'healthy' }, sinceMs: situation.nowMs })
  })
  return true
}

function promote(situation: Situation, node: NodeName, { service, term }: Step & { kind: 'promote' }): boolean {
  const key = at(node, service)
  situation.busy.set(key, 'promote')
  after(situation, situation.setting.assumed.promoteMs, () => {
    situation.busy.delete(key)
    const now = situation.instances.get(key)
    if (now?.report.state !== 'running') return
    situation.instances.set(key, { ...now, report: { ...now.report, role: 'primary', term } })
  })
  return true
}

function stop(situation: Situation, node: NodeName, service: ServiceName): boolean {
  const key = at(node, service)
  const now = situation.instances.get(key)
  if (!now) return false
  const { endpoints, timing } = specOf(situation, service)
  const settleMs = endpoints.length > 0 ? timing.settleMs : 0
  situation.busy.set(key, 'stop')
  situation.instances.set(key, { report: { ...now.report, state: 'stopping' }, sinceMs: situation.nowMs })
  after(situation, settleMs + Math.min(situation.setting.assumed.stopMs, timing.graceMs), () => {
    situation.busy.delete(key)
    endInstance(situation, key, '', 0)
  })
  return true
}

function takeLead(situation: Situation, node: NodeName, step: Step & { kind: 'take-lead' }): boolean {
  const { service, term, revision } = step
  const { records, leads, freeSince, held, hearing } = situation
  const now = records.get(service)?.revision ?? 0
  if (!hearing.reachesStore(node) || leads.has(service) || now !== revision) return false
  records.set(service, { term, primary: node, revision: now + 1 })
  leads.set(service, { node, term, lease: 'lease' })
  freeSince.delete(service)
  held.set(at(node, service), { term, endsAtMs: Number.POSITIVE_INFINITY })
  return true
}

function giveUpLead(situation: Situation, node: NodeName, step: Step & { kind: 'give-up-lead' }): boolean {
  const { service, term, vacancy } = step
  if (!situation.hearing.reachesStore(node)) return false
  const revision = (situation.records.get(service)?.revision ?? 0) + 1
  situation.records.set(service, { term, primary: node, vacancy, revision })
  situation.held.delete(at(node, service))
  leadFreed(situation, service)
  return true
}

function specOf({ setting }: Situation, service: ServiceName): ServiceSpec {
  const spec = setting.cluster.services.find(({ name }) => name === service)
  if (!spec) throw new Error(`there is no service ${service}`)
  return spec
}
