/**
 * What an instance was started from, in hashes of its parts: enough to say later which of them are others now, and nothing that
 * would have to be kept secret.
 */
import { createHash } from 'node:crypto'
import { isSame } from '../../core/config-changes.ts'
import type { Outdated, ServiceSpec } from '../../core/model.ts'
import type { OptionsChange } from '../../core/options-change.ts'
import type { ProcessOptions } from './options.ts'

/** A name for each part that an instance must be replaced for, and its hash. */
export type StartedFrom = Readonly<Record<string, string>>

type Parts = Readonly<Record<string, (options: ProcessOptions) => unknown>>

/** An instance has these from its start on. */
const FROM_THE_START: Parts = {
  command: ({ run }) => run,
  folder: ({ cwd }) => cwd,
  environment: ({ env }) => env,
  user: ({ user }) => user,
  limits: ({ limits }) => limits,
  port: ({ port }) => port,
}

/** The driver's business, also for what runs. */
const AT_ANY_TIME: Parts = {
  'health check': ({ health }) => health,
  promotion: ({ promote }) => promote,
  'stop signal': ({ stopSignal }) => stopSignal,
  log: ({ logBytes, logFiles }) => [logBytes, logFiles],
}

export function startedFrom({ options, restarts = 0 }: ServiceSpec): StartedFrom {
  const parts = Object.entries(FROM_THE_START).map(([name, part]) => [name, hashOf(part(options as ProcessOptions))])
  return { ...Object.fromEntries(parts), [RESTART]: hashOf(restarts) }
}

const RESTART = 'restart'

/** Undefined: it runs as the config says, or an earlier version of Understudy started it and it is not known. */
export function outdatedSince(before: StartedFrom | undefined, now: StartedFrom): Outdated | undefined {
  const others = before
    ? Object.keys(now).filter((name) => before[name] !== undefined && before[name] !== now[name])
    : []
  if (others.length === 0) return undefined
  const changed = others.filter((name) => name !== RESTART)
  const why = changed.length === 0 ? 'a restart was asked for' : `its ${changed.join(' and its ')} changed`
  return { why, needs: 'restart' }
}

/** What a change of options means for an instance that runs. Both as compiled. */
export function processChange(before: ProcessOptions, after: ProcessOptions): OptionsChange {
  const changed = (parts: Parts) =>
    Object.entries(parts).flatMap(([name, part]) => (isSame(part(before), part(after)) ? [] : [name]))
  const restart = changed(FROM_THE_START)
  const what = [...restart, ...changed(AT_ANY_TIME)].map((name) =>
    name === 'environment' ? `environment (${changedKeys(before.env, after.env).join(', ')})` : name,
  )
  return { needs: restart.length > 0 ? 'restart' : what.length > 0 ? 'reload' : 'nothing', what }
}

/** Names alone: a value may be a secret. */
function changedKeys(before: ProcessOptions['env'] = {}, after: ProcessOptions['env'] = {}): string[] {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])]
  return keys.filter((key) => before[key] !== after[key])
}

function hashOf(part: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(part) ?? '')
    .digest('hex')
    .slice(0, 12)
}
