/** How many nodes there are, what they share, and where the store's voters stand. */
import { shortZone, zoneKey, zonesOf } from '../failure.ts'
import { type Finder, inWords } from './weakness.ts'

export const oneMachine: Finder = ({ inquiry }) => {
  if (inquiry.setting.voters !== null) return []
  return [
    {
      name: 'one-machine',
      service: null,
      severity: 'note',
      what: `every node, and the store, is on one machine, which is itself a single point of failure`,
      change: 'nodes on machines of their own, when the cluster is to survive the loss of one',
    },
  ]
}

export const fewNodes: Finder = ({ inquiry }) => {
  const { cluster, voters } = inquiry.setting
  const [first] = cluster.nodes
  if (cluster.nodes.length === 1) {
    const what = `there is one node, ${first?.name}: everything ends with it`
    return [{ name: 'one-node', service: null, severity: 'outage', what, change: 'two more under `nodes`' }]
  }
  if (cluster.nodes.length > 2) return []
  const agree = voters === null ? 'nothing can be replaced until it is back' : 'the one that is left has no majority'
  const what = `there are two nodes: when one is lost, ${agree}`
  const change = 'a third under `nodes`; a small one is enough to break the tie'
  return [{ name: 'two-nodes', service: null, severity: 'risk', what, change }]
}

export const voters: Finder = ({ inquiry }) => {
  const { voters, cluster } = inquiry.setting
  if (voters === null) return []
  if (voters.length % 2 === 0) {
    const [survives, fewer] = [voters.length / 2 - 1, voters.length - 1]
    const what = `the store has ${voters.length} voters: it survives the loss of ${survives}, no more than ${fewer} would, and a cut between two halves stops it`
    const change = `${fewer} or ${voters.length + 1} voters`
    return [{ name: 'even-voters', service: null, severity: 'risk', what, change }]
  }
  if (voters.length === 1 && cluster.nodes.length > 1) {
    const what = `the store has one voter, on ${voters[0]}: without it nothing can be agreed`
    return [{ name: 'one-voter', service: null, severity: 'outage', what, change: '3 voters, so 3 nodes or more' }]
  }
  for (const nodes of zonesOf(cluster.nodes).values()) {
    const inZone = nodes.filter(({ name }) => voters.includes(name)).map(({ name }) => name)
    if (inZone.length <= voters.length / 2 || nodes.length === cluster.nodes.length || inZone.length < 2) continue
    const what = `zone ${shortZone(cluster, nodes)} holds ${inZone.length} of the ${voters.length} voters of the store: without it nothing can be agreed`
    const change = `nodes in three zones or more, so that no zone holds most of the voters`
    return [{ name: 'voters-in-one-zone', service: null, severity: 'outage', what, change }]
  }
  return []
}

/** Nodes that share a zone while others stand elsewhere, and a zone that holds half of all or more. */
export const sharedZone: Finder = ({ inquiry }) => {
  const { cluster } = inquiry.setting
  const zones = zonesOf(cluster.nodes)
  if (cluster.nodes.length < 2) return []
  if (zones.size === 1) {
    const what = `every node is in zone ${cluster.nodes[0]?.zone}: they are all lost with it`
    const change = 'another `zone` for nodes that would not fail with the rest, or nodes elsewhere'
    return [{ name: 'one-zone', service: null, severity: 'risk', what, change }]
  }
  return [...zones.values()]
    .filter((nodes) => nodes.length > 1 && nodes.length >= cluster.nodes.length / 2)
    .slice(0, 1)
    .map((nodes) => {
      const names = nodes.map(({ name }) => name)
      const zone = shortZone(cluster, nodes)
      const last = names.at(-1) ?? ''
      return {
        name: 'shared-zone',
        service: null,
        severity: 'risk' as const,
        what: `${inWords(names)} share zone ${zone}: its loss takes ${names.length} of ${cluster.nodes.length} nodes at once`,
        change: `\`nodes.${last}.zone\`: another zone, with ${last} moved there`,
      }
    })
}

/** Timing made for one site, between several. */
export const impatientTiming: Finder = ({ inquiry }) => {
  const { nodes, timing } = inquiry.setting.cluster
  const regions = new Set(nodes.map(({ region }) => region))
  if (regions.size < 2 || timing.heartbeatMs >= 250) return []
  const what = `${regions.size} regions hear each other every ${timing.heartbeatMs} ms: delays between sites will look like deaths`
  return [{ name: 'impatient-timing', service: null, severity: 'risk', what, change: "`preset: 'wan'`" }]
}

/** Every node has a balancer; a client that knows one address has one. */
export const oneAddress: Finder = ({ inquiry }) => {
  const { cluster } = inquiry.setting
  const named = cluster.services.filter(({ endpoints }) => endpoints.length > 0).map(({ name }) => name)
  if (named.length === 0) return []
  if (cluster.nodes.length === 1) {
    const what = `${inWords(named)} can be reached at one address only, that of ${cluster.nodes[0]?.name}`
    return [
      { name: 'one-address', service: null, severity: 'outage', what, change: 'more nodes: each has every endpoint' },
    ]
  }
  const what = `no address moves: a client that knows one node's address only loses ${inWords(named)} with that node`
  const change = 'all addresses for clients: several DNS records, a list in the client, or a load balancer in front'
  return [{ name: 'one-address', service: null, severity: 'note', what, change }]
}

export function zonesUsed(names: readonly string[], inquiry: Parameters<Finder>[0]['inquiry']): ReadonlySet<string> {
  const { nodes } = inquiry.setting.cluster
  return new Set(nodes.filter(({ name }) => names.includes(name)).map(zoneKey))
}
