/**
 * What an instance was started from, in hashes of its parts: enough to say later which of them are others now, and nothing that
 * would have to be kept secret.
 */
import { createHash } from 'node:crypto'
import type { Outdated, ServiceSpec } from '../../core/model.ts'
import type { ProcessOptions } from './options.ts'

/** A name for each part that an instance must be replaced for, and its hash. */
export type StartedFrom = Readonly<Record<string, string>>

/** Checks, logs and how it is asked to end are not among them: they are the driver's business, also for what runs. */
export function startedFrom({ options, restarts = 0 }: ServiceSpec): StartedFrom {
  const { run, cwd, env, user, limits, port } = options as ProcessOptions
  const parts = { command: run, folder: cwd, environment: env, user, limits, port, [RESTART]: restarts }
  return Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, hashOf(part)]))
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

function hashOf(part: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(part) ?? '')
    .digest('hex')
    .slice(0, 12)
}
