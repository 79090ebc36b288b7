/** How the shop stands, read from a status: what each fault waits for. */
import type { Receipt, Status } from '../../api/api-types.ts'

export interface Injected {
  readonly node: string
  readonly what: string
  /** Balancers of nodes that are down on purpose: what clients see there is not counted. */
  readonly balancerDown?: string
  /** Has the cluster got over it? Asked again and again. */
  isOver(now: Status, receipts: readonly Receipt[]): boolean
}

export function serviceOf(status: Status, name: string): Status['services'][number] {
  const service = status.services.find((one) => one.name === name)
  if (!service) throw new Error(`the demo's config has no ${name}`)
  return service
}

/** As many healthy instances as were asked for (two), none of them the victim or on the lost node. */
export function webIsWhole(now: Status, victim: number, lostNode?: string): boolean {
  const well = serviceOf(now, 'web').instances.filter(
    ({ healthy, pid, node }) => healthy && pid !== victim && node !== lostNode,
  )
  return well.length >= 2
}

export function workerLeads(now: Status, termBefore: number, lostNode?: string): boolean {
  const { term, healthy, primary } = serviceOf(now, 'worker')
  return term > termBefore && healthy && primary !== lostNode
}

/** The database has a primary in a later term, and takes writes. */
export function databaseLeads(now: Status, termBefore: number): boolean {
  const { term, healthy } = serviceOf(now, 'db')
  return term > termBefore && healthy
}

/** There is a primary, the others follow and count, and every replica is healthy. */
export function databaseIsWhole(now: Status, termBefore = 0): boolean {
  const well = serviceOf(now, 'db').instances.filter(({ healthy }) => healthy)
  const primaries = well.filter(({ role }) => role === 'primary')
  return databaseLeads(now, termBefore) && well.length === 3 && primaries.length === 1
}
