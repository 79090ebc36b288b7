/**
 * Is this a compiled config? Asked of one that a client sent: every agent acts on it at once, so what a turn would trip over must be
 * refused before it is written. What the options of a service mean is its driver's business.
 */
import { areNumbers, areTexts, fieldsOf, isListOf } from '../lib/shapes.ts'
import type { ClusterSpec, EndpointSpec, NodeSpec, ServiceSpec } from './model.ts'

/** What is wrong with it first, as a sentence; undefined when nothing is. */
export function specFault(value: unknown): string | undefined {
  const { name, store, apiPort, nodes, services, timing } = fieldsOf<ClusterSpec>(value)
  if (!isName(name)) return 'the config has no name'
  if (!areTexts(fieldsOf<ClusterSpec['store']>(store).kind)) return 'the config does not say its store'
  if (!isPort(apiPort)) return 'apiPort is not a port'
  if (!isListOf(nodes, isNode) || (nodes as []).length === 0)
    return 'nodes is not a list of nodes with name, address, zone and region'
  if (!isTiming(timing, CLUSTER_TIMING)) return 'timing does not have every duration of a cluster in milliseconds'
  if (!Array.isArray(services)) return 'services is not a list'
  for (const service of services) {
    const fault = serviceFault(service)
    if (fault !== undefined) return fault
  }
  return namesFault(value as ClusterSpec)
}

function isName(value: unknown): boolean {
  return typeof value === 'string' && /^[A-Za-z0-9][\w.-]*$/.test(value)
}

function isPort(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) > 0 && (value as number) < 65_536
}

function isNode(value: unknown): boolean {
  const { name, address, zone, region } = fieldsOf<NodeSpec>(value)
  return isName(name) && areTexts(address, zone, region) && address !== ''
}

const CLUSTER_TIMING = ['heartbeatMs', 'suspectFloorMs', 'suspectCeilingMs', 'lostAfterMs', 'staggerMs']
const SERVICE_TIMING = [
  'leaseMs',
  'graceMs',
  'settleMs',
  'startWithinMs',
  'unhealthyForMs',
  'probeEveryMs',
  'probeTimeoutMs',
  'holdMs',
]

function isTiming(value: unknown, names: readonly string[]): boolean {
  const timing = fieldsOf<Record<string, unknown>>(value) as Record<string, unknown>
  return names.every((name) => areNumbers(timing[name]) && (timing[name] as number) >= 0)
}

function serviceFault(value: unknown): string | undefined {
  const it = fieldsOf<ServiceSpec>(value)
  if (!isName(it.name)) return 'a service has no name'
  const lacks = (what: string) => `the service ${it.name} ${what}`
  if (!areTexts(it.kind)) return lacks('has no kind')
  if (it.redundancy !== 'active-active' && it.redundancy !== 'active-passive') return lacks('has no known redundancy')
  if (!Number.isSafeInteger(it.instances) || (it.instances as number) < 1) return lacks('has no number of instances')
  if (it.standby !== 'warm' && it.standby !== 'cold') return lacks('does not say what its standbys are')
  if (!isListOf(it.needs, isName) || !isListOf(it.nodes, isName)) return lacks('names needs or nodes that are no names')
  if (!isListOf(it.endpoints, isEndpoint)) return lacks('has an endpoint without purpose, protocol or port')
  if (!isTiming(it.timing, SERVICE_TIMING)) return lacks('does not have every duration in milliseconds')
  const flags = Object.values(fieldsOf<Record<string, unknown>>(it.traits))
  if (flags.length < 4 || !flags.every((flag) => typeof flag === 'boolean')) return lacks('has no traits')
  const { replicates } = fieldsOf<ServiceSpec['traits']>(it.traits)
  if (replicates === true && !areNumbers(fieldsOf<NonNullable<ServiceSpec['replication']>>(it.replication).k))
    return lacks('replicates and does not say how')
  if (it.update !== undefined && !isUpdate(it.update)) return lacks('does not say how it is changed')
  const areObjects = [it.options, it.objectives].every((one) => typeof one === 'object' && one !== null)
  return areObjects ? undefined : lacks('has no options or no objectives')
}

function isEndpoint(value: unknown): boolean {
  const { purpose, protocol, port } = fieldsOf<EndpointSpec>(value)
  return areTexts(purpose, protocol) && isPort(port)
}

function isUpdate(value: unknown): boolean {
  const { atOnce, pauseMs, onFailure } = fieldsOf<NonNullable<ServiceSpec['update']>>(value)
  return areNumbers(atOnce, pauseMs) && (atOnce as number) >= 1 && (onFailure === 'stop' || onFailure === 'rollback')
}

function namesFault({ nodes, services, apiPort }: ClusterSpec): string | undefined {
  const twice = (names: readonly string[]) => names.find((name, at) => names.indexOf(name) !== at)
  const nodeNames = nodes.map(({ name }) => name)
  const serviceNames = services.map(({ name }) => name)
  const double = twice(nodeNames) ?? twice(serviceNames) ?? twice(nodes.map(({ address }) => address))
  if (double !== undefined) return `${double} is there twice`
  const ports = [apiPort, ...services.flatMap(({ endpoints }) => endpoints.map(({ port }) => port))]
  const port = ports.find((one, at) => ports.indexOf(one) !== at)
  if (port !== undefined) return `port ${port} is there twice`
  const strange = services.flatMap(({ needs, nodes: only }) => [
    ...needs.filter((name) => !serviceNames.includes(name)),
    ...only.filter((name) => !nodeNames.includes(name)),
  ])[0]
  return strange === undefined ? undefined : `${strange} is needed, and the config does not name it`
}
