/**
 * Names of failures as an operator types them: `a` (a node, or else a zone or region of that name), `zone:north`,
 * `region:eu`, `link:north:south`, `a.web` (an instance), `a.balancer`, `store`, `a.store` (one member of it).
 */
import type { ClusterSpec, NodeSpec } from '../core/model.ts'
import {
  balancerFailure,
  type Failure,
  groupFailure,
  instanceFailure,
  linkFailure,
  nodeFailure,
  shortZone,
  storeFailure,
  voterFailure,
} from './failure.ts'

/** Undefined when the cluster has nothing of that name. */
export function failureNamed(text: string, cluster: ClusterSpec): Failure | undefined {
  const isNode = (name: string) => cluster.nodes.some((node) => node.name === name)
  if (isNode(text)) return nodeFailure(text)
  if (text === 'store') return storeFailure()
  const [node = '', part = ''] = text.split('.')
  if (isNode(node) && cluster.services.some(({ name }) => name === part)) return instanceFailure(node, part)
  if (isNode(node) && part === 'balancer') return balancerFailure(node)
  if (isNode(node) && part === 'store') return voterFailure(node)
  const [kind, one = '', other = ''] = text.includes(':') ? text.split(':') : ['', text]
  const zone = inZone(cluster, one)
  const region = cluster.nodes.filter((spec) => spec.region === one)
  if (kind === 'link') {
    const far = inZone(cluster, other)
    return zone.length > 0 && far.length > 0 && one !== other ? linkFailure(cluster, zone, far) : undefined
  }
  if ((kind === 'zone' || kind === '') && zone.length > 0) return groupFailure('zone', one, zone)
  if ((kind === 'region' || kind === '') && region.length > 0) return groupFailure('region', one, region)
  return undefined
}

/** What could be typed. */
export function namesOf({ nodes, services }: ClusterSpec): string[] {
  const zones = [...new Set(nodes.map((node) => `zone:${node.zone}`))]
  return [
    ...nodes.map(({ name }) => name),
    ...services.map(({ name }) => `${nodes[0]?.name}.${name}`),
    ...zones,
    'store',
  ]
}

function inZone(cluster: ClusterSpec, name: string): NodeSpec[] {
  return cluster.nodes.filter((node) => shortZone(cluster, [node]) === name)
}
