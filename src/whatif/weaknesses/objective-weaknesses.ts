/** The objectives, against what the failures came to; and the quorum by which writes are acknowledged. */
import type { ClusterTiming, NodeName, ServiceSpec } from '../../core/model.ts'
import { defaultK } from '../../core/replicated/quorum.ts'
import { formatDuration } from '../../lib/duration.ts'
import { ruleBefore } from '../acknowledged-loss.ts'
import { NOTHING } from '../failure.ts'
import { replicationFor } from '../imagined-replicas.ts'
import type { Outcome } from '../outcome.ts'
import type { Setting } from '../question.ts'
import { type Asked, forEachService, type Weakness } from './weakness.ts'

/** Silence is only believed when the lease has ended: nothing after it can be sooner than that. */
export const leaseOverRto = forEachService(({ inquiry, singles }, service) => {
  const { rtoMs } = service.objectives
  if (rtoMs === undefined || service.redundancy !== 'active-passive') return []
  const after = worst(singles, service, ({ evidence, pauseMs }) => evidence === 'silence' && (pauseMs ?? 0) > rtoMs)
  if (!after) return []
  const { leaseMs } = service.timing
  const least = leastLeaseMs(service, inquiry.setting.cluster.timing)
  const takeoverMs = Math.max(0, (after.pauseMs ?? 0) - leaseMs)
  const fits = rtoMs - takeoverMs
  if (leaseMs <= fits) return []
  const change =
    fits >= least
      ? `\`services.${service.name}.lease: '${written(fits)}'\` or less`
      : `no lease is short enough: \`objectives.rto\` of ${formatDuration(least + takeoverMs)} or more${warmer(service)}`
  return [
    {
      name: 'lease-over-rto',
      service: service.name,
      severity: 'objective',
      what: `${service.name} promises ${formatDuration(rtoMs)}; after silence it waits for the lease of ${formatDuration(leaseMs)}, then ${formatDuration(takeoverMs)}`,
      change,
    },
  ]
})

/** Even where the fault is seen at once, the successor needs its time. */
export const startOverRto = forEachService(({ inquiry, singles }, service) => {
  const { rtoMs } = service.objectives
  if (rtoMs === undefined) return []
  const after = worst(singles, service, ({ evidence, pauseMs }) => evidence !== 'silence' && (pauseMs ?? 0) > rtoMs)
  if (!after || after.pauseFrom === 'receipts') return []
  const isPassive = service.redundancy === 'active-passive'
  return [
    {
      name: 'start-over-rto',
      service: service.name,
      severity: 'objective',
      what: `${service.name} promises ${formatDuration(rtoMs)} and is back after ${formatDuration(after.pauseMs ?? 0)}: ${startSentence(inquiry.setting)}`,
      change: isPassive
        ? `\`services.${service.name}.standby: 'warm'\` with \`promote\`, or a program that starts sooner (--start says how soon)`
        : `\`services.${service.name}.instances: ${service.instances + 1}\`, or a program that starts sooner (--start says how soon)`,
    },
  ]
})

export const tooFewWriteCopies = forEachService((asked, service) => {
  if (!service.traits.replicates) return []
  const { k } = replicationFor(service)
  const wanted = Math.max(1, defaultK(service.instances))
  const severity = service.objectives.rpo === 0 ? ('objective' as const) : ('risk' as const)
  const change = `k of ${wanted} or more`
  if (k === 0) {
    const what = `${service.name} acknowledges writes that only its primary has: they are lost with it`
    return [{ name: 'k-too-low', service: service.name, severity, what, change }]
  }
  const by = asked.singles
    .filter(({ judged }) => judged)
    .find(({ outcomes }) => outcomes.some((one) => one.service === service.name && one.loss === 'if-disks-are-gone'))
  if (!by) return []
  const copies = `${k + 1} replicas with a write`
  const what = `${by.failures[0]?.label} may hold all ${copies} of ${service.name}: they are lost if its disks are`
  return [{ name: 'k-too-low', service: service.name, severity, what, change: `${change}, or replicas in other zones` }]
})

/** A quorum so strict that the loss of a standby stops writes, or blocks them until that one is taken out of it. */
export const tooManyWriteCopies = forEachService((asked, service) => {
  const quorum = service.traits.replicates ? ruleBefore(asked.inquiry.calmOf(service.name), service) : undefined
  if (!quorum) return []
  const without = (node: NodeName) => asked.inquiry.outcome(service.name, { ...NOTHING, nodes: [node] })
  const stops = quorum.standbys.find((node) => !without(node).served)
  const waits = quorum.standbys.find((node) => (without(node).pauseMs ?? 0) > 0)
  const felt = stops ?? waits
  if (felt === undefined) return []
  const how = stops === undefined ? `wait for ${formatDuration(without(felt).pauseMs ?? 0)}` : 'stop'
  const wanted = defaultK(service.instances)
  const change =
    wanted < quorum.k
      ? `k of ${wanted}`
      : `\`services.${service.name}.instances: ${service.instances + 1}\`, with the same k`
  return [
    {
      name: 'k-too-high',
      service: service.name,
      severity: stops === undefined ? ('risk' as const) : ('outage' as const),
      what: `every write of ${service.name} needs ${quorum.k} of its ${quorum.standbys.length} standbys: without ${felt} writes ${how}`,
      change,
    },
  ]
})

/** Whatever one failure ends, and no other weakness explains. */
export function notSurvived(asked: Asked, found: readonly Weakness[]): Weakness[] {
  const clusterWide = found.some(({ service, severity }) => service === null && severity === 'outage')
  return asked.inquiry.setting.cluster.services.flatMap(({ name }) => {
    const isExplained = found.some(
      ({ service, severity }) => service === name && (severity === 'outage' || severity === 'objective'),
    )
    if (isExplained || clusterWide) return []
    const by = asked.singles
      .filter(({ judged }) => judged)
      .flatMap(({ failures, outcomes }) => {
        const outcome = outcomes.find(({ service }) => service === name)
        return outcome && (!outcome.served || outcome.objective === 'missed') ? [{ failures, outcome }] : []
      })
    const [first] = by
    if (!first) return []
    const others = by.length > 1 ? ` (and ${by.length - 1} more)` : ''
    return [
      {
        name: first.outcome.served ? 'objective-missed' : 'not-survived',
        service: name,
        severity: first.outcome.served ? ('objective' as const) : ('outage' as const),
        what: `${name} does not survive ${first.failures[0]?.label}${others}: ${first.outcome.why}`,
        change: first.outcome.served
          ? 'an objective that can be kept, or a faster start'
          : 'more instances, on nodes that do not fail together',
      },
    ]
  })
}

function worst(
  singles: Asked['singles'],
  { name }: ServiceSpec,
  isBad: (one: Outcome) => boolean,
): Outcome | undefined {
  return singles
    .filter(({ judged }) => judged)
    .flatMap(({ outcomes }) => outcomes.filter((one) => one.service === name && one.pauseMs !== null && isBad(one)))
    .reduce<Outcome | undefined>((a, b) => ((b.pauseMs ?? 0) > (a?.pauseMs ?? 0) ? b : a), undefined)
}

/** What config/check/check-timing.ts allows at least. */
function leastLeaseMs(_: ServiceSpec, { heartbeatMs, staggerMs }: ClusterTiming): number {
  return Math.max(500, 4 * heartbeatMs, 2 * staggerMs)
}

/** As it is written in a config. */
function written(ms: number): string {
  const whole = Math.floor(ms)
  return whole % 1_000 === 0 ? `${whole / 1_000}s` : `${whole}ms`
}

function warmer({ standby }: ServiceSpec): string {
  return standby === 'cold' ? ", or `standby: 'warm'` and a shorter lease" : ''
}

function startSentence({ assumed }: Setting): string {
  return `a start is taken to need ${formatDuration(assumed.startMs)}`
}
