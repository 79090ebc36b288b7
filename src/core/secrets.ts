/**
 * Secrets by their names. A config says `secret('db-password')`, which is plain data (`SecretRef`): compiled configs, plans, diffs,
 * events and routing tables hold the name and never the value. The value is sealed in the store (`SecretRecord`) and opened where a
 * program is started, and nowhere else.
 */
import type { ClusterSpec, ServiceName, ServiceSpec } from './model.ts'
import type { SecretRecord } from './records.ts'
import type { View } from './view.ts'

/** Stands in a config for the value of a secret. */
export interface SecretRef {
  readonly $secret: string
}

/** A value that can be opened with the key of the nodes, and nothing else. */
export type SealedSecret = Pick<SecretRecord, 'version' | 'keyId'> & { readonly sealed: string }

/** A secret that a config names and that is not set. */
export interface MissingSecret {
  readonly name: string
  /** Which services need it. */
  readonly services: readonly ServiceName[]
}

export function isSecretRef(value: unknown): value is SecretRef {
  return typeof value === 'object' && value !== null && typeof (value as Partial<SecretRef>).$secret === 'string'
}

/** Compiled options never change, and every turn asks. */
const named = new WeakMap<object, readonly string[]>()

/** The names of all secrets in the options of a service, each once, in order. */
export function secretsOf({ options }: Pick<ServiceSpec, 'options'>): readonly string[] {
  const known = named.get(options)
  if (known) return known
  const names = [...new Set(refsIn(options))].sort()
  named.set(options, names)
  return names
}

function refsIn(value: unknown): string[] {
  if (isSecretRef(value)) return [value.$secret]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(refsIn) : []
}

/** What `spec` names besides `names`, which are set; empty when nothing is missing. */
export function missingSecrets(spec: Pick<ClusterSpec, 'services'>, names: Iterable<string>): MissingSecret[] {
  const set = new Set(names)
  const missing = new Set(spec.services.flatMap(secretsOf).filter((name) => !set.has(name)))
  return [...missing].sort().map((name) => ({ name, services: usersOf(spec, name) }))
}

/** The names of those that have a value. */
export function secretsSet(secrets: Readonly<Record<string, SecretRecord>> = {}): string[] {
  return Object.keys(secrets).filter((name) => secrets[name]?.sealed !== undefined)
}

/** Which services of a config need a secret. */
export function usersOf({ services }: Pick<ClusterSpec, 'services'>, secret: string): ServiceName[] {
  return services.filter((service) => secretsOf(service).includes(secret)).map(({ name }) => name)
}

/** One sentence; empty when nothing is missing. */
export function missingSecretsText(missing: readonly MissingSecret[]): string {
  if (missing.length === 0) return ''
  const each = missing.map(({ name, services }) => `“${name}” (needed by ${services.join(', ')})`)
  const is = missing.length === 1 ? 'secret' : 'secrets'
  const verb = missing.length === 1 ? 'is' : 'are'
  return `${is} ${each.join(', ')} ${verb} not set: “understudy secret set ${missing[0]?.name}” sets ${missing.length === 1 ? 'it' : 'one'}`
}

/** Of a service, as this node knows: all of them as long as the store was not read. */
export function missingSecretsIn({ store }: View, service: ServiceSpec): readonly string[] {
  return secretsOf(service).filter((name) => store.secrets?.[name]?.sealed === undefined)
}

/** The same config for a world without secrets: each has an empty value there. */
export function withoutSecrets(spec: ClusterSpec): ClusterSpec {
  const services = spec.services.map((service) =>
    secretsOf(service).length === 0
      ? service
      : { ...service, options: emptied(service.options) as ServiceSpec['options'] },
  )
  return { ...spec, services }
}

function emptied(value: unknown): unknown {
  if (isSecretRef(value)) return ''
  if (Array.isArray(value)) return value.map(emptied)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, emptied(one)]))
}
