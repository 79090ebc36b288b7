/** Endpoints that should be open and are not: a service can be healthy while a client that connects to one node is refused. */
import type { EndpointStatus, ServiceStatus, Status } from './api-types.ts'

/** Of one service, at living nodes. */
export function closedEndpoints({ nodes }: Status, { endpoints }: ServiceStatus): readonly EndpointStatus[] {
  const living = new Set(nodes.filter(({ alive }) => alive).map(({ name }) => name))
  return endpoints.filter(({ node, open }) => !open && living.has(node))
}

/** Healthy, and a client that connects to a living node is accepted. */
export function isUp(status: Status, service: ServiceStatus): boolean {
  return service.healthy && closedEndpoints(status, service).length === 0
}
