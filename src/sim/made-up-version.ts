/**
 * Which version of a service an instance was started from, and what is wrong with that version. A config says it in the
 * environment, as a real one would: VERSION changes what runs, FLAW makes a made-up program misbehave, and what begins with
 * PLACE_ stands for settings for which the primary itself has to be restarted first.
 */
import type { Outdated, ServiceSpec } from '../core/model.ts'
import { targetOf } from '../core/rollout.ts'

/** `late`: healthy at first. */
export type Flaw = (typeof FLAWS)[number]

export const FLAWS = ['never healthy', 'crashes', 'late'] as const

/** From its first line on. */
export const LATE_FLAW_MS = 600
export const FLAW_CRASH_MS = 150

export function envOf({ options }: ServiceSpec): Readonly<Record<string, string>> {
  return (options.env ?? {}) as Readonly<Record<string, string>>
}

/** A service of another version; undefined takes a variable out. */
export function withEnv(service: ServiceSpec, change: Readonly<Record<string, string | undefined>>): ServiceSpec {
  const merged = Object.entries({ ...envOf(service), ...change }).filter(([, value]) => value !== undefined)
  return { ...service, options: { ...service.options, env: Object.fromEntries(merged) } }
}

export function flawOf(service: ServiceSpec): Flaw | undefined {
  return FLAWS.find((flaw) => flaw === envOf(service).FLAW)
}

/** `before`: what the instance was started from. */
export function outdatedSince(before: ServiceSpec | null, now: ServiceSpec): Outdated | undefined {
  if (!before || targetOf(before) === targetOf(now)) return undefined
  const isInPlace = targetOf(withoutPlace(before)) === targetOf(withoutPlace(now))
  return isInPlace
    ? { why: 'a setting of the primary changed', needs: 'in-place' }
    : { why: 'its config changed', needs: 'restart' }
}

function withoutPlace(service: ServiceSpec): ServiceSpec {
  const env = Object.keys(envOf(service)).filter((name) => name.startsWith('PLACE_'))
  return env.length === 0 ? service : withEnv(service, Object.fromEntries(env.map((name) => [name, undefined])))
}
