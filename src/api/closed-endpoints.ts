/** Doors that should be open and are not: a service can be healthy while a client that knocks at one node is refused. */
import type { EndpointStatus, ServiceStatus, Status } from './api-types.ts'

/** Of one service, at living nodes. */
export function closedDoors({ nodes }: Status, { endpoints }: ServiceStatus): readonly EndpointStatus[] {
  const living = new Set(nodes.filter(({ alive }) => alive).map(({ name }) => name))
  return endpoints.filter(({ node, open }) => !open && living.has(node))
}

/** Healthy, and whoever knocks at a living node is let in. */
export function isUp(status: Status, service: ServiceStatus): boolean {
  return service.healthy && closedDoors(status, service).length === 0
}
