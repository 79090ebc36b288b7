/**
 * The share of time for which each service is served: over every set of nodes that may be down, whether the nodes that
 * are left serve it in the end (worked out by the core, not assumed), and on top of that the pauses on the way there.
 *
 * Left out, and said in docs/whatif.md: programs that fail for the same reason everywhere, human error, and two
 * failures within one pause.
 */
import type { ServiceName, ServiceSpec } from '../core/model.ts'
import { type Effect, NOTHING, regionsOf, zonesOf } from './failure.ts'
import { Inquiry } from './inquiry.ts'
import type { Measured } from './measured.ts'
import { type Rates, unavailability } from './rates.ts'
import { hasRegion, hasZone, type States, statesOf } from './states.ts'

export interface Availability {
  readonly service: ServiceName
  readonly instances: number
  /** Of all time, from 0 to 1. */
  readonly share: number
  readonly nines: number
  readonly awayMsPerYear: number
  /** Of that: nothing that is left can serve it; and pauses until another instance did. */
  readonly outageMsPerYear: number
  readonly pauseMsPerYear: number
  /** The same with one instance fewer and one more; null where that cannot be written. */
  readonly fewer: { readonly instances: number; readonly awayMsPerYear: number } | null
  readonly more: { readonly instances: number; readonly awayMsPerYear: number } | null
}

const YEAR_MS = 365.25 * 24 * 3_600_000

/** More nodes than this, and there are too many sets to look at. */
export const MOST_NODES = 12

export function availabilityOf(inquiry: Inquiry, rates: Rates, measured: Measured): readonly Availability[] {
  const { cluster } = inquiry.setting
  if (cluster.nodes.length > MOST_NODES) return []
  const states = statesOf(cluster, rates)
  return cluster.services.map((service) => {
    const { outage, pause } = awayShare(inquiry, service, states, rates)
    const share = Math.max(0, 1 - outage - pause)
    return {
      service: service.name,
      instances: service.instances,
      share,
      nines: nines(share),
      awayMsPerYear: (outage + pause) * YEAR_MS,
      outageMsPerYear: outage * YEAR_MS,
      pauseMsPerYear: pause * YEAR_MS,
      fewer: withInstances(inquiry, service, service.instances - 1, states, rates, measured),
      more: withInstances(inquiry, service, service.instances + 1, states, rates, measured),
    }
  })
}

/** 0.999 is 3 nines, 0.9995 is 3.3. */
export function nines(share: number): number {
  return share >= 1 ? Number.POSITIVE_INFINITY : -Math.log10(1 - share)
}

/** What one machine that holds everything takes away from all of it. */
export function machineShare({ mtbfNodeMs, mttrNodeMs }: Rates): number {
  return 1 - unavailability(mtbfNodeMs, mttrNodeMs)
}

function awayShare(
  inquiry: Inquiry,
  { name }: ServiceSpec,
  states: States,
  rates: Rates,
): { readonly outage: number; readonly pause: number } {
  const isAway = (down: readonly string[]) => !inquiry.outcome(name, { ...NOTHING, nodes: [...down].sort() }).served
  const outage = states.sets.reduce((sum, { down, chance }) => sum + (isAway(down) ? chance : 0), states.leftOut)
  const pause = pausesOf(inquiry, name, rates).reduce((sum, { effect, mtbfMs }) => {
    const { pauseMs } = inquiry.outcome(name, effect)
    return sum + (pauseMs ?? 0) / mtbfMs // no end of it: then it is an outage and counted above
  }, 0)
  return { outage, pause }
}

/** Everything that may interrupt a service for a while, with how often it happens. */
function pausesOf(inquiry: Inquiry, service: ServiceName, rates: Rates): { effect: Effect; mtbfMs: number }[] {
  const { nodes } = inquiry.setting.cluster
  const names = (group: readonly { readonly name: string }[]) => group.map(({ name }) => name).sort()
  const groups = [
    ...nodes.map((node) => ({ down: [node.name], mtbfMs: rates.mtbfNodeMs })),
    ...[...zonesOf(nodes).values()].filter(hasZone).map((group) => ({ down: names(group), mtbfMs: rates.mtbfZoneMs })),
    ...[...regionsOf(nodes).values()]
      .filter(hasRegion)
      .map((group) => ({ down: names(group), mtbfMs: rates.mtbfRegionMs })),
  ]
  const processes = inquiry.standing().get(service) ?? []
  return [
    ...groups.map(({ down, mtbfMs }) => ({ effect: { ...NOTHING, nodes: down }, mtbfMs })),
    ...processes.map((node) => ({
      effect: { ...NOTHING, instances: [`${node} ${service}`] },
      mtbfMs: rates.mtbfProcessMs,
    })),
  ]
}

function withInstances(
  { setting }: Inquiry,
  service: ServiceSpec,
  instances: number,
  states: States,
  rates: Rates,
  measured: Measured,
): Availability['more'] {
  const usable = service.nodes.length === 0 ? setting.cluster.nodes.length : service.nodes.length
  if (instances < 1 || instances > usable) return null
  const services = setting.cluster.services.map((one) => (one === service ? { ...one, instances } : one))
  const other = new Inquiry({ ...setting, cluster: { ...setting.cluster, services } }, measured)
  const { outage, pause } = awayShare(other, { ...service, instances }, states, rates)
  return { instances, awayMsPerYear: (outage + pause) * YEAR_MS }
}
