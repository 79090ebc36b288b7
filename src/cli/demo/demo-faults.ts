/**
 * The faults of the demo, in order: what is done, and how one can tell that the cluster has got over it. They are done to
 * real processes with real signals; the cluster is not told. Those of the database stand in database-faults.ts.
 */
import type { Status } from '../../api/api-types.ts'
import { closedEndpoints } from '../../api/closed-endpoints.ts'
import type { LocalCluster } from '../../local/start-cluster.ts'
import { freezePrimary, killPrimary, moveDatabase } from './database-faults.ts'
import { databaseIsWhole, databaseLeads, type Injected, serviceOf, webIsWhole, workerLeads } from './shop-state.ts'

export interface Fault {
  readonly name: string
  /** The service it is about; null: the whole node; undefined: it is no fault, and need not be noticed. */
  readonly service: string | null | undefined
  /** Does it, and says to what. */
  inject(cluster: LocalCluster, before: Status): Promise<Injected>
}

export const FAULTS: readonly Fault[] = [
  { name: 'kill -9 a web instance', service: 'web', inject: (_, before) => signalWeb(before, 'SIGKILL', 'was killed') },
  {
    name: 'freeze a web instance (SIGSTOP)',
    service: 'web',
    inject: (_, before) => signalWeb(before, 'SIGSTOP', 'was frozen'),
  },
  { name: 'kill -9 the worker', service: 'worker', inject: (_, before) => killWorker(before) },
  { name: "kill -9 the database's primary", service: 'db', inject: (_, before) => killPrimary(before) },
  { name: "freeze the database's primary", service: 'db', inject: (_, before) => freezePrimary(before) },
  { name: "lose the primary's whole node", service: null, inject: loseNode },
  { name: 'bring the node back', service: undefined, inject: bringBack },
  { name: 'move the database on purpose', service: 'db', inject: moveDatabase },
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

/** The node of the database's primary: the hardest one to lose. */
async function loseNode(cluster: LocalCluster, before: Status): Promise<Injected> {
  const { primary, term } = serviceOf(before, 'db')
  const worker = serviceOf(before, 'worker')
  const node = primary ?? before.nodes[0]?.name ?? ''
  const killed = await cluster.killNode(node)
  const workerTerm = worker.primary === node ? worker.term : 0
  return {
    node,
    what: `${node} is gone: ${killed.map(({ what }) => what).join(', ')} and all their children killed at once`,
    balancerDown: node,
    isOver: (now) => databaseLeads(now, term) && workerLeads(now, workerTerm, node) && webIsWhole(now, 0, node),
  }
}

async function bringBack(cluster: LocalCluster, before: Status): Promise<Injected> {
  const node = [...cluster.nodes].find(([, { phase }]) => phase === 'down')?.[0] ?? before.nodes[0]?.name ?? ''
  cluster.startNode(node)
  return {
    node,
    what: `${node} is started again`,
    balancerDown: node,
    isOver: (now) => now.nodes.every(({ alive }) => alive) && webIsWhole(now, 0) && databaseIsWhole(now),
  }
}

async function moveWorker(cluster: LocalCluster, before: Status): Promise<Injected> {
  const { primary, term } = serviceOf(before, 'worker')
  const { what } = await cluster.client.switchover({ service: 'worker' })
  return { node: primary ?? '', what, isOver: (now) => workerLeads(now, term) }
}

export function isCalm(status: Status): boolean {
  const { nodes, services } = status
  const isOpen = services.every((service) => closedEndpoints(status, service).length === 0)
  const isHealthy = webIsWhole(status, 0) && workerLeads(status, 0) && databaseIsWhole(status)
  return isOpen && isHealthy && nodes.every(({ alive }) => alive)
}
