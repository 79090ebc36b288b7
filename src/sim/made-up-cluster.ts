/** Clusters for scenarios and random runs, made by the same road as the user's own: the raw config, compiled. */
import { compileCluster } from '../config/compile.ts'
import { command, http } from '../config/define.ts'
import type { ClusterSpec, ServiceSpec } from '../core/model.ts'
import { defaultK } from '../core/replicated/quorum.ts'
import type { Replication } from '../core/replicated/quorum-config.ts'

export interface MadeUpNode {
  readonly name: string
  readonly zone: string
}

export interface MadeUpService {
  readonly name: string
  readonly kind: 'http' | 'command' | 'database'
  readonly redundancy: 'active-active' | 'active-passive'
  readonly instances: number
  readonly standby: 'warm' | 'cold'
  readonly needs?: readonly string[]
  /** How it is changed while it runs, as the config says it. Default: that of the config. */
  readonly update?: { readonly atOnce?: number; readonly pause?: string; readonly onFailure?: 'stop' | 'rollback' }
  /** Of a database: how many standbys confirm each write, and what is done without any. */
  readonly k?: number
  readonly degrade?: Replication['degrade']
}

export function madeUpCluster(nodes: readonly MadeUpNode[], services: readonly MadeUpService[]): ClusterSpec {
  const listen = (index: number) => 8_000 + index
  const raw = {
    name: 'made-up',
    nodes: Object.fromEntries(nodes.map(({ name, zone }) => [name, { zone }])),
    services: Object.fromEntries(services.map((service, index) => [service.name, compiled(service, listen(index))])),
  }
  const { spec } = compileCluster(raw, { isLocal: () => true })
  return {
    ...spec,
    services: spec.services.map((service) => {
      const made = services.find(({ name }) => name === service.name)
      return made?.kind === 'database' ? asDatabase(service, made) : service
    }),
  }
}

/** No kind of config makes one: a simulated database is a process service with replicas. */
function asDatabase(service: ServiceSpec, { instances, k, degrade = 'block' }: MadeUpService): ServiceSpec {
  const [primary] = service.endpoints
  const endpoints = primary
    ? (['primary', 'standby'] as const).map((purpose, index) => ({
        ...primary,
        purpose,
        port: primary.port + 100 * index,
      }))
    : []
  return {
    ...service,
    kind: 'database',
    standby: 'warm',
    traits: { singleWriter: false, replicates: true, reportsPosition: true, canRewind: true },
    replication: {
      k: k ?? defaultK(instances),
      ...(k !== undefined && k !== defaultK(instances) && { sync: k }),
      degrade,
    },
    endpoints,
  }
}

function compiled(
  { kind, redundancy, instances, standby, needs = [], update }: MadeUpService,
  listen: number,
): unknown {
  const passive = redundancy === 'active-passive'
  const common = {
    run: 'program',
    redundancy,
    instances,
    needs: [...needs],
    ...(update && { update }),
    ...(passive && { standby }),
    ...(kind === 'database' && { listen }),
    ...(passive && standby === 'warm' && { promote: { signal: 'SIGUSR2' as const } }),
  }
  return kind === 'http' ? http({ ...common, listen }) : command(common)
}
