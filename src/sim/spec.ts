/** Clusters for scenarios and random runs, made by the same road as the user's own: the raw config, compiled. */
import { compileCluster } from '../config/compile.ts'
import { command, http } from '../config/define.ts'
import type { ClusterSpec } from '../core/model.ts'
export interface MadeUpNode {
  readonly name: string
  readonly zone: string
}

export interface MadeUpService {
  readonly name: string
  readonly kind: 'http' | 'command'
  readonly redundancy: 'active-active' | 'active-passive'
  readonly instances: number
  readonly standby: 'warm' | 'cold'
}

export function madeUpCluster(nodes: readonly MadeUpNode[], services: readonly MadeUpService[]): ClusterSpec {
  const listen = (index: number) => 8_000 + index
  const raw = {
    name: 'made-up',
    nodes: Object.fromEntries(nodes.map(({ name, zone }) => [name, { zone }])),
    services: Object.fromEntries(services.map((service, index) => [service.name, compiled(service, listen(index))])),
  }
  return compileCluster(raw, { isLocal: () => true }).spec
}

function compiled({ kind, redundancy, instances, standby }: MadeUpService, listen: number): unknown {
  const passive = redundancy === 'active-passive'
  const common = {
    run: 'program',
    redundancy,
    instances,
    ...(passive && { standby }),
    ...(passive && standby === 'warm' && { promote: { signal: 'SIGUSR2' as const } }),
  }
  return kind === 'http' ? http({ ...common, listen }) : command(common)
}
