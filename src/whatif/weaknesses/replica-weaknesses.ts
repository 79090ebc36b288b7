/** How many replicas a service has, and where they may stand. */
import type { ClusterSpec, ServiceSpec } from '../../core/model.ts'
import { formatDuration } from '../../lib/duration.ts'
import { NOTHING, shortZone } from '../failure.ts'
import { zonesUsed } from './node-weaknesses.ts'
import { type Asked, forEachService, inWords, usableNodes, type Weakness } from './weakness.ts'

export const oneUsableNode = forEachService((_, service, cluster) => {
  const [node] = service.nodes
  if (service.nodes.length !== 1 || cluster.nodes.length === 1) return []
  const standsBy = service.redundancy === 'active-passive' ? 'nothing can take over' : 'nothing else can serve'
  return [
    {
      name: 'one-usable-node',
      service: service.name,
      severity: 'outage',
      what: `${service.name} may use ${node} only: ${standsBy} when that node is lost`,
      change: `a second node in \`services.${service.name}.nodes\``,
    },
  ]
})

export const nodesInOneZone = forEachService(({ inquiry }, service, cluster) => {
  const names = usableNodes(service, cluster)
  if (service.nodes.length < 2 || zonesUsed(names, inquiry).size > 1) return []
  if (
    zonesUsed(
      cluster.nodes.map(({ name }) => name),
      inquiry,
    ).size === 1
  )
    return []
  const zone = shortZone(
    cluster,
    cluster.nodes.filter(({ name }) => names.includes(name)),
  )
  return [
    {
      name: 'nodes-in-one-zone',
      service: service.name,
      severity: 'outage',
      what: `${service.name} may use ${inWords(names)} only, all in zone ${zone}: it is lost with that zone`,
      change: `a node of another zone in \`services.${service.name}.nodes\``,
    },
  ]
})

export const oneInstance = forEachService((asked, service, cluster) => {
  if (service.instances > 1 || usableNodes(service, cluster).length < 2) return []
  const { name, redundancy, standby } = service
  if (redundancy === 'active-passive' && standby === 'cold' && !service.traits.replicates) return onePassive(service)
  const node = asked.inquiry.standing().get(name)?.[0] ?? ''
  const { pauseMs } = asked.inquiry.outcome(name, { ...NOTHING, nodes: [node] })
  const pause = pauseMs === null ? 'ends it' : `stops it for up to ${formatDuration(pauseMs)}`
  return [
    {
      name: 'one-instance',
      service: name,
      severity: 'outage',
      what: `${name} has one instance: every end of it is a pause, and the loss of its node ${pause}`,
      change: `\`services.${name}.instances: 2\``,
    },
  ]
})

function onePassive({ name }: ServiceSpec): Weakness[] {
  return [
    {
      name: 'one-instance',
      service: name,
      severity: 'risk',
      what: `${name} has one instance: nothing stands by, and every failover waits for a fresh start`,
      change: `\`services.${name}.instances: 2\`, and \`standby: 'warm'\` where the program can wait`,
    },
  ]
}

export const copiesInOneRegion = forEachService(({ inquiry }, service, cluster) => {
  const regions = [...new Set(cluster.nodes.map(({ region }) => region))]
  const standing = inquiry.standing().get(service.name) ?? []
  // Where a cold standby would start is not where one stands: then what counts is where it may.
  const where = service.instances > 1 && standing.length > 1 ? standing : usableNodes(service, cluster)
  const used = new Set(cluster.nodes.filter(({ name }) => where.includes(name)).map(({ region }) => region))
  if (regions.length < 2 || used.size !== 1 || service.instances < 2) return []
  const [region] = used
  const other = regions.find((one) => one !== region)
  return [
    {
      name: 'copies-in-one-region',
      service: service.name,
      severity: isEndedWith({ inquiry }, service, cluster, region) ? 'outage' : 'risk',
      what: `all replicas of ${service.name} are in region ${region}`,
      change: changeFor(service, other ?? ''),
    },
  ]
})

function isEndedWith({ inquiry }: Pick<Asked, 'inquiry'>, service: ServiceSpec, cluster: ClusterSpec, region = '') {
  const nodes = cluster.nodes.filter((node) => node.region === region).map(({ name }) => name)
  return !inquiry.outcome(service.name, { ...NOTHING, nodes: [...nodes].sort() }).served
}

function changeFor({ name, nodes, instances }: ServiceSpec, region: string): string {
  if (nodes.length > 0) return `nodes of region ${region} in \`services.${name}.nodes\``
  return `\`services.${name}.instances: ${instances + 1}\`, or nodes in \`services.${name}.nodes\` such that replicas run in ${region}, too`
}

/** A service cannot be better than what it needs. */
export const weakerNeed = forEachService(({ singles }, service, cluster) => {
  return service.needs.flatMap((need) => {
    const needed = cluster.services.find(({ name }) => name === need)
    if (!needed) return []
    const by = singles
      .filter(({ judged }) => judged)
      .find(({ outcomes }) => {
        const [own, other] = [service.name, need].map((name) => outcomes.find((one) => one.service === name))
        return own?.served && other && !other.served
      })
    const isThinner = degree(needed, cluster) === 1 && degree(service, cluster) > 1
    if (!by && !isThinner) return []
    const how = by ? `${by.failures[0]?.label} ends ${need} and not ${service.name}` : `${need} has one instance`
    return [
      {
        name: 'weaker-need',
        service: service.name,
        severity: 'risk' as const,
        what: `${service.name} needs ${need}, which survives less: ${how}`,
        change: `as much redundancy for ${need} as for ${service.name}`,
      },
    ]
  })
})

function degree(service: ServiceSpec, cluster: ClusterSpec): number {
  return Math.min(service.instances, usableNodes(service, cluster).length)
}
