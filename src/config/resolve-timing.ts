/**
 * Which number holds where. A service's own wins over the cluster's, which wins over its kind's, which wins over the preset's;
 * each is remembered together with the place where it was written, so that a complaint names what a person can change.
 */
import type { ClusterTiming, ServiceTiming } from '../core/model.ts'
import { parseDuration } from '../lib/duration.ts'
import type { Duration, ServiceTimingOptions, TimingOptions } from './cluster-options.ts'
import type { Draft, DraftService } from './draft.ts'
import { PRESETS } from './presets.ts'

export type TimingName = keyof TimingOptions

export interface Timed {
  readonly ms: number
  /** Where it was written; undefined when it comes from the preset. */
  readonly path: string | undefined
}

export type Timings = Readonly<Record<TimingName, Timed>>

export const SERVICE_TIMINGS = [
  'lease',
  'grace',
  'settle',
  'startWithin',
  'unhealthyFor',
  'probeEvery',
  'probeTimeout',
  'hold',
] as const satisfies readonly (keyof ServiceTimingOptions)[]

export const CLUSTER_TIMINGS = [
  'heartbeat',
  'suspectFloor',
  'suspectCeiling',
  'lostAfter',
  'stagger',
] as const satisfies readonly TimingName[]

/** All numbers as they hold for one service, or, without one, for the cluster. */
export function timingsOf(draft: Draft, service?: DraftService): Timings {
  const preset = PRESETS[draft.preset]
  const presetMs: Readonly<Record<string, number>> = {
    ...preset.cluster,
    ...preset.service,
    ...service?.kind.timing,
  }
  const resolve = (name: TimingName): Timed => {
    const own = (service?.options as TimingOptions | undefined)?.[name]
    const given: Duration | undefined = own ?? draft.timing[name]
    const ms = given === undefined ? undefined : parseDuration(given)
    if (ms === undefined) return { ms: presetMs[`${name}Ms`] ?? 0, path: undefined }
    return { ms, path: own === undefined ? `timing.${name}` : `${service?.path}.${name}` }
  }
  const names = [...CLUSTER_TIMINGS, ...SERVICE_TIMINGS]
  return Object.fromEntries(names.map((name) => [name, resolve(name)])) as Timings
}

export function clusterTiming(timings: Timings): ClusterTiming {
  return inMs(CLUSTER_TIMINGS, timings)
}

export function serviceTiming(timings: Timings): ServiceTiming {
  return inMs(SERVICE_TIMINGS, timings)
}

function inMs<Name extends TimingName>(names: readonly Name[], timings: Timings): Record<`${Name}Ms`, number> {
  const entries = names.map((name) => [`${name}Ms`, timings[name].ms])
  return Object.fromEntries(entries) as Record<`${Name}Ms`, number>
}
