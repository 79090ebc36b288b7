/**
 * The number of instances, changed while the cluster runs: a request in the store that overlays the config. Every node
 * takes it from the same store revision, so placement (placement.ts) stays the same everywhere. The rest follows as
 * always: replicas are cloned, join the quorum one at a time when they have caught up, and leave it before they end
 * (replicated/config-change.ts). Nothing is restarted for it.
 */
import type { ServiceSpec } from './model.ts'
import type { SizeRecord } from './records.ts'
import { defaultK } from './replicated/quorum.ts'
import type { View } from './view.ts'

/** A service with the number of instances that was asked for, if the config has not said another one since. */
export function sized(service: ServiceSpec, wish: SizeRecord | undefined): ServiceSpec {
  if (!wish || wish.configured !== service.instances) return service
  const { instances, degrade } = wish
  if (!service.replication) return { ...service, instances }
  const { sync } = service.replication
  const k = Math.min(sync ?? defaultK(instances), instances - 1)
  return { ...service, instances, replication: { ...service.replication, k, ...(degrade && { degrade }) } }
}

/** Why not, as a sentence; undefined when it may be done. */
export function resizeRefusal(
  view: View,
  service: ServiceSpec,
  instances: number,
  degrade: SizeRecord['degrade'],
): string | undefined {
  const { name } = service
  const usable = view.cluster.nodes.filter((node) => service.nodes.length === 0 || service.nodes.includes(node.name))
  if (instances < 1) return `${name} needs one instance at least`
  if (instances > usable.length)
    return `${name} may use ${usable.length} nodes (${usable.map((node) => node.name).join(', ')}), and each instance needs one of its own`
  if (!service.traits.replicates) return degrade && `${name} has no replicas: degrade does not apply to it`
  if (instances === 2 && degrade === undefined)
    return `with two replicas, say what happens when one is lost: degrade block (writes wait) or run-alone`
  return undefined
}
