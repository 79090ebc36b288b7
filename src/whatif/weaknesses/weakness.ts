/**
 * A weakness is a reason why something that fails alone is felt more than it needs to be, with a name that stays and the
 * change that removes it. Each is found from the shape of the config or from what the failures came to.
 */
import type { ClusterSpec, ServiceName, ServiceSpec } from '../../core/model.ts'
import type { Inquiry } from '../inquiry.ts'
import type { Row } from '../report-row.ts'

export interface Weakness {
  /** The stable name, as in docs/whatif.md. */
  readonly name: string
  readonly service: ServiceName | null
  /**
   * `outage`: one failure ends a service. `objective`: one failure is enough to miss what was promised. `risk`: more is lost
   * at once than need be. `note`: true of every such cluster, and worth knowing.
   */
  readonly severity: 'outage' | 'objective' | 'risk' | 'note'
  readonly what: string
  /** What to write, or to do, instead. */
  readonly change: string
}

export interface Asked {
  readonly inquiry: Inquiry
  readonly singles: readonly Row[]
}

export type Finder = (asked: Asked) => readonly Weakness[]

export function forEachService(
  find: (asked: Asked, service: ServiceSpec, cluster: ClusterSpec) => readonly Weakness[],
): Finder {
  return (asked) => {
    const { cluster } = asked.inquiry.setting
    return cluster.services.flatMap((service) => find(asked, service, cluster))
  }
}

/** The nodes that a service may use. */
export function usableNodes({ nodes }: ServiceSpec, cluster: ClusterSpec): readonly string[] {
  return nodes.length === 0 ? cluster.nodes.map(({ name }) => name) : nodes
}

export function inWords(names: readonly string[]): string {
  return names.length < 2 ? (names[0] ?? 'nothing') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`
}
