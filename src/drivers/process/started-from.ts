/**
 * What an instance was started from, in hashes of its parts: enough to say later which of them are others now, and nothing that
 * would have to be kept secret.
 */
import { createHash } from 'node:crypto'
import { isSame } from '../../core/config-changes.ts'
import type { Outdated, ServiceSpec } from '../../core/model.ts'
import type { OptionsChange } from '../../core/options-change.ts'
import { secretsOf } from '../../core/secrets.ts'
import type { ProcessOptions } from './options.ts'

/** A name for each part that an instance must be replaced for, and its hash. */
export type StartedFrom = Readonly<Record<string, string>>

type Parts = Readonly<Record<string, (options: ProcessOptions) => unknown>>

/** An instance has these from its start on. */
const FROM_THE_START: Parts = {
  command: ({ run }) => run,
  folder: ({ cwd }) => cwd,
  environment: ({ env, secretFiles }) => (secretFiles ? { env, secretFiles } : env),
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

export function startedFrom({ options, restarts = 0, secretVersions = {} }: ServiceSpec): StartedFrom {
  const { env, secretFiles } = options as ProcessOptions
  const parts = Object.entries(FROM_THE_START).map(([name, part]) => [name, hashOf(part(options as ProcessOptions))])
  const given = secretsOf({ options: { env, secretFiles } }).filter((name) => secretVersions[name] !== undefined)
  const secrets = given.map((name) => [name, { version: secretVersions[name] ?? 0 }] as const)
  return { ...Object.fromEntries(parts), [RESTART]: hashOf(restarts), ...secretParts(Object.fromEntries(secrets)) }
}

/** Of secrets it is the version that counts. */
export function secretParts(secrets: Readonly<Record<string, { readonly version: number }>>): StartedFrom {
  return Object.fromEntries(Object.entries(secrets).map(([name, { version }]) => [`${SECRET}${name}`, String(version)]))
}

const RESTART = 'restart'
const SECRET = 'secret '

/** Undefined: it runs as the config says, or an earlier version of Understudy started it and it is not known. */
export function outdatedSince(before: StartedFrom | undefined, now: StartedFrom): Outdated | undefined {
  const others = before
    ? Object.keys(now).filter((name) => before[name] !== undefined && before[name] !== now[name])
    : []
  if (others.length === 0) return undefined
  const changed = others.filter((name) => name !== RESTART)
  const why = changed.length === 0 ? 'a restart was asked for' : `${changed.map(partText).join(' and ')} changed`
  return { why, needs: 'restart' }
}

function partText(name: string): string {
  return name.startsWith(SECRET) ? name : `its ${name}`
}

/** What a change of options means for an instance that runs. Both as compiled. */
export function processChange(before: ProcessOptions, after: ProcessOptions): OptionsChange {
  const changed = (parts: Parts) =>
    Object.entries(parts).flatMap(([name, part]) => (isSame(part(before), part(after)) ? [] : [name]))
  const restart = changed(FROM_THE_START)
  const what = [...restart, ...changed(AT_ANY_TIME)].map((name) =>
    name === 'environment' ? `environment (${changedKeys(variablesOf(before), variablesOf(after)).join(', ')})` : name,
  )
  return { needs: restart.length > 0 ? 'restart' : what.length > 0 ? 'reload' : 'nothing', what }
}

function variablesOf({ env, secretFiles }: ProcessOptions): Readonly<Record<string, unknown>> {
  const files = Object.entries(secretFiles ?? {}).map(([name, secret]) => [name, { file: secret }])
  return { ...env, ...Object.fromEntries(files) }
}

/** Names alone: a value may be a secret. */
function changedKeys(before: Readonly<Record<string, unknown>>, after: Readonly<Record<string, unknown>>): string[] {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])]
  return keys.filter((key) => !isSame(before[key], after[key]))
}

function hashOf(part: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(part) ?? '')
    .digest('hex')
    .slice(0, 12)
}
