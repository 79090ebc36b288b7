/**
 * The faults of the demo, in order: what is done, and how one can tell that the cluster has got over it. They are done to
 * real processes with real signals; the cluster is not told.
 */
import type { Receipt, Status } from '../../api/contract.ts'
import { closedDoors } from '../../api/doors.ts'
import type { LocalCluster } from '../../local/start.ts'

export interface Fault {
  readonly name: string
  /** The service it is about; null: the whole node. */
  readonly service: string | null
  /** Does it, and says to what. */
  inject(cluster: LocalCluster, before: Status): Promise<Injected>
}

export interface Injected {
  readonly node: string
  readonly what: string
  /** Doors of nodes that are down on purpose: what clients see there is not counted. */
  readonly doorDown?: string
  /** Has the cluster got over it? Asked again and again. */
  isOver(now: Status, receipts: readonly Receipt[]): boolean
}

export const FAULTS: readonly Fault[] = [
  { name: 'kill -9 a web instance', service: 'web', inject: (_, before) => signalWeb(before, 'SIGKILL', 'was killed') },
  {
    name: 'freeze a web instance (SIGSTOP)',
    service: 'web',
    inject: (_, before) => signalWeb(before, 'SIGSTOP', 'was frozen'),
  },
  { name: 'kill -9 the worker', service: 'worker', inject: (_, before) => killWorker(before) },
  { name: 'lose a whole node', service: null, inject: loseNode },
  { name: 'bring the node back', service: null, inject: bringBack },
  { name: 'move the worker on purpose', service: 'worker', inject: moveWorker },
]

async function signalWeb(before: Status, signal: NodeJS.Signals, what: string): Promise<Injected> {
  const victim = serviceOf(before, 'web').instances.find(({ healthy }) => healthy)
  if (!victim?.pid) throw new Error('the demo found no healthy web instance to harm')
  const { pid, node } = victim
  process.kill(pid, signal)
  return { node, what: `web on ${node} (pid ${pid}) ${what}`, isOver: (now) => webIsWhole(now, pid) }
}

async function killWorker(before: Status): Promise<Injected> {
  const { primary, term, instances } = serviceOf(before, 'worker')
  const pid = instances.find(({ role }) => role === 'primary')?.pid
  if (!pid || !primary) throw new Error('the demo found no worker to kill')
  process.kill(pid, 'SIGKILL')
  return {
    node: primary,
    what: `the worker on ${primary} (pid ${pid}) was killed`,
    isOver: (now) => workerLeads(now, term),
  }
}

/** The worker's node: the hardest one to lose. */
async function loseNode(cluster: LocalCluster, before: Status): Promise<Injected> {
  const { primary, term } = serviceOf(before, 'worker')
  const node = primary ?? before.nodes[0]?.name ?? ''
  const killed = await cluster.killNode(node)
  return {
    node,
    what: `${node} is gone: ${killed.length} processes killed at once, agent, front door, fence and services`,
    doorDown: node,
    isOver: (now) => workerLeads(now, term) && webIsWhole(now, 0, node),
  }
}

async function bringBack(cluster: LocalCluster, before: Status): Promise<Injected> {
  const node = [...cluster.nodes].find(([, { phase }]) => phase === 'down')?.[0] ?? before.nodes[0]?.name ?? ''
  cluster.startNode(node)
  return {
    node,
    what: `${node} is started again`,
    doorDown: node,
    isOver: (now) => now.nodes.every(({ alive }) => alive) && webIsWhole(now, 0),
  }
}

async function moveWorker(cluster: LocalCluster, before: Status): Promise<Injected> {
  const { primary, term } = serviceOf(before, 'worker')
  const { what } = await cluster.client.switchover({ service: 'worker' })
  return { node: primary ?? '', what, isOver: (now) => workerLeads(now, term) }
}

function serviceOf(status: Status, name: string): Status['services'][number] {
  const service = status.services.find((one) => one.name === name)
  if (!service) throw new Error(`the demo's config has no ${name}`)
  return service
}

/** As many healthy copies as were asked for (two), none of them the victim or on the lost node. */
function webIsWhole(now: Status, victim: number, lostNode?: string): boolean {
  const well = serviceOf(now, 'web').instances.filter(
    ({ healthy, pid, node }) => healthy && pid !== victim && node !== lostNode,
  )
  return well.length >= 2
}

function workerLeads(now: Status, termBefore: number): boolean {
  const worker = serviceOf(now, 'worker')
  return worker.term > termBefore && worker.healthy
}

export function isCalm(status: Status): boolean {
  const { nodes, services } = status
  const isOpen = services.every((service) => closedDoors(status, service).length === 0)
  return isOpen && nodes.every(({ alive }) => alive) && webIsWhole(status, 0) && workerLeads(status, 0)
}
