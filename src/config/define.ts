/**
 * What a config file calls. These functions check nothing and look nothing up: they give names to the compiler and
 * return plain frozen data, the same that a JSON file could hold. What is wrong with it is found when it is compiled.
 */
import type { Redundancy } from '../core/model.ts'
import type { SecretRef } from '../core/secrets.ts'
import { postgresTraits } from '../drivers/postgres/options.ts'
import { processTraits } from '../drivers/process/options.ts'
import { deepFreeze } from '../lib/deep-freeze.ts'
import type { ClusterOptions, Declaration } from './cluster-options.ts'
import type { PostgresOptions } from './postgres-options.ts'
import type { CommandOptions, HttpOptions } from './service-options.ts'

/**
 * A cluster: its nodes and what is kept running on them. The names of nodes and services are checked by the TypeScript
 * compiler where they are used: in `needs` and `nodes` of a service.
 */
export function defineCluster<const Node extends string, const Service extends string>(
  cluster: ClusterOptions<Node, Service>,
): ClusterOptions<Node, Service> {
  return deepFreeze(cluster)
}

/** A web service. Each node's balancer listens on `listen` and gives requests to healthy instances. */
export function http<const Needs extends string = never, const Nodes extends string = never>(
  options: HttpOptions<Needs, Nodes>,
): Declaration<'http', Needs, Nodes> {
  return deepFreeze({ kind: 'http' as const, traits: processTraits(redundancyOf(options)), options })
}

/** Any other program: a worker, a scheduler, a server that speaks something else than HTTP. */
export function command<const Needs extends string = never, const Nodes extends string = never>(
  options: CommandOptions<Needs, Nodes>,
): Declaration<'command', Needs, Nodes> {
  return deepFreeze({ kind: 'command' as const, traits: processTraits(redundancyOf(options)), options })
}

/** A PostgreSQL database. Each node's balancer routes to its primary on `listen`, whichever node that is. */
export function postgres<const Needs extends string = never, const Nodes extends string = never>(
  options: PostgresOptions<Needs, Nodes>,
): Declaration<'postgres', Needs, Nodes> {
  return deepFreeze({ kind: 'postgres' as const, traits: postgresTraits(), options })
}

/**
 * Stands for the value of a secret, which is not in the config: `understudy secret set NAME` gives it to the cluster. In a JSON
 * config: `{ "$secret": "db-password" }`.
 */
export function secret(name: string): SecretRef {
  return deepFreeze({ $secret: name })
}

/** Callers in plain JavaScript may pass anything; what they passed is complained about later, in one place. */
function redundancyOf(options: { readonly redundancy?: Redundancy } | undefined): Redundancy {
  return options?.redundancy ?? 'active-active'
}
