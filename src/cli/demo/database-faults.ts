/** The demo's faults of the database: its primary is killed, frozen, and switched over. */
import type { Status } from '../../api/api-types.ts'
import { familyOf, identify, type ProcessIdentity, signal } from '../../lib/proc.ts'
import type { LocalCluster } from '../../local/start-cluster.ts'
import { databaseIsWhole, type Injected, serviceOf } from './shop-state.ts'

/** Longer than it takes to replace the frozen one, so that it wakes up in a world that has gone on. */
const FROZEN_MS = 2_000

export async function killPrimary(before: Status): Promise<Injected> {
  const { node, term, postmaster } = primaryOf(before)
  signal(postmaster, 'SIGKILL')
  return {
    node,
    what: `the postmaster on ${node} (pid ${postmaster.pid}) was killed`,
    isOver: (now) => databaseIsWhole(now, term),
  }
}

/** Every process of the server: a frozen postmaster alone leaves the sessions that are open working. */
export async function freezePrimary(before: Status): Promise<Injected> {
  const { node, term, postmaster } = primaryOf(before)
  const server = familyOf(postmaster)
  for (const one of server) signal(one, 'SIGSTOP')
  setTimeout(() => {
    for (const one of server) signal(one, 'SIGCONT')
  }, FROZEN_MS).unref()
  return {
    node,
    what: `PostgreSQL on ${node} (pid ${postmaster.pid} and ${server.length - 1} children) is frozen for ${FROZEN_MS / 1_000} s`,
    isOver: (now) => databaseIsWhole(now, term),
  }
}

export async function moveDatabase(cluster: LocalCluster, before: Status): Promise<Injected> {
  const { node, term } = primaryOf(before)
  const { what } = await cluster.client.switchover({ service: 'db' })
  return { node, what, isOver: (now) => databaseIsWhole(now, term) }
}

function primaryOf(status: Status): { node: string; term: number; postmaster: ProcessIdentity } {
  const { term, instances } = serviceOf(status, 'db')
  const primary = instances.find(({ role, healthy }) => role === 'primary' && healthy)
  const postmaster = primary?.pid ? identify(primary.pid) : undefined
  if (!primary || !postmaster) throw new Error('the demo found no primary of the database to harm')
  return { node: primary.node, term, postmaster }
}
