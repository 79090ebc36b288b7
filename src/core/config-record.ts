/**
 * The config that the agents agree on: one record in the store. Each agent acts on the newest that it has seen and keeps it on
 * its disk for when the store is away, so that a change is one compare-and-swap and needs no coordinator.
 *
 * What a config no longer names does not end by being forgotten. A node that was taken out hands over what it has and is
 * `leaving` until nothing depends on it; a service that was taken out is `removed` until nothing of it runs. Both are part of
 * the record, so that an agent that was away meanwhile learns of them, too.
 */
import type { ClusterSpec, ServiceName, ServiceSpec } from './model.ts'
import type { ConfigRecord, SecretRecord, ServiceWish, SizeRecord } from './records.ts'
import { sized } from './resize.ts'
import { secretsOf } from './secrets.ts'

/**
 * Of the record and of the compiled config in it: raised when an agent of an earlier version could not do what the config says.
 * Such an agent says so and goes on with the config that it has.
 */
export const CONFIG_SCHEMA = 1

/** The file that a config was compiled from. */
export interface ConfigSource {
  /** Its base name. */
  readonly name: string
  readonly text: string
}

/** Who changes the config, when, why, and with what. */
export type Authorship = Pick<ConfigRecord, 'at' | 'by' | 'message' | 'version' | 'run'>

/** A config that is not in the store yet, and follows on whatever is there. */
export function unwritten(
  spec: ClusterSpec,
  { at = 0, by = '', message = '', version = '', run }: Partial<Authorship> & Pick<Authorship, 'run'>,
): ConfigRecord {
  return { schema: CONFIG_SCHEMA, number: 0, hash: '', spec, leaving: [], removed: [], run, at, by, message, version }
}

export interface Wishes {
  readonly sizes: Readonly<Record<ServiceName, SizeRecord>>
  readonly wishes: Readonly<Record<ServiceName, ServiceWish>>
  /** Default: none is set, or the store was not read yet. */
  readonly secrets?: Readonly<Record<string, SecretRecord>> | undefined
}

/** The config that holds now: with the nodes that are leaving, and with what operators asked for since. */
export function effectiveCluster(
  { spec, leaving }: ConfigRecord,
  { sizes, wishes, secrets = {} }: Wishes,
): ClusterSpec {
  const nodes = leaving.length === 0 ? spec.nodes : [...spec.nodes, ...leaving]
  const services = spec.services.map((service) =>
    versioned(wished(sized(service, sizes[service.name]), wishes[service.name]), secrets),
  )
  return { ...spec, nodes, services }
}

/** What a config no longer names and may still be there: from the last config, and from those before it. */
export function whatLeaves(before: ConfigRecord, spec: ClusterSpec): Pick<ConfigRecord, 'leaving' | 'removed'> {
  return {
    leaving: without([...before.leaving, ...before.spec.nodes], spec.nodes),
    removed: without([...before.removed, ...before.spec.services], spec.services),
  }
}

function without<T extends { readonly name: string }>(all: readonly T[], present: readonly T[]): T[] {
  const names = new Set(present.map(({ name }) => name))
  return all.filter(({ name }) => !names.has(name))
}

function wished(service: ServiceSpec, wish: ServiceWish | undefined): ServiceSpec {
  if (!wish) return service
  const { restarts, stopped } = wish
  return { ...service, ...(restarts > 0 && { restarts }), ...(stopped && { stopped: true }) }
}

function versioned(service: ServiceSpec, secrets: Readonly<Record<string, SecretRecord>>): ServiceSpec {
  const versions = secretsOf(service).flatMap((name) => {
    const found = secrets[name]
    return found?.sealed === undefined ? [] : [[name, found.version] as const]
  })
  return versions.length === 0 ? service : { ...service, secretVersions: Object.fromEntries(versions) }
}
