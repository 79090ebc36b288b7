/** What the commands about a PostgreSQL database have in common: which one, and the endpoint that leads to it. */
import type { EndpointStatus, ServiceStatus, Status } from '../client/index.ts'
import type { PostgresOptions } from '../drivers/postgres/options.ts'
import { UnderstudyError } from '../errors.ts'
import { mustKnowService, type Session } from './cluster-session.ts'

export interface Database {
  readonly name: string
  readonly options: PostgresOptions
}

/** Throws UND_UNKNOWN_SERVICE, or UND_BAD_REQUEST when it is something else. */
export function mustBeDatabase(session: Pick<Session, 'spec'>, name: string): Database {
  mustKnowService(session, name)
  const service = session.spec.services.find((one) => one.name === name)
  if (service?.kind !== 'postgres') {
    throw new UnderstudyError('UND_BAD_REQUEST', `${name} is no PostgreSQL database: it is a ${service?.kind} service`)
  }
  return { name, options: service.options as unknown as PostgresOptions }
}

export function serviceIn(status: Status, name: string): ServiceStatus {
  const service = status.services.find((one) => one.name === name)
  if (service) return service
  throw new UnderstudyError('UND_UNKNOWN_SERVICE', `the cluster that runs has no service ${name}`)
}

/** An open endpoint, the asked agent's own first. Throws UND_REFUSED when there is none. */
export function openEndpoint(status: Status, name: string, purpose: 'primary' | 'standby'): EndpointStatus {
  const service = serviceIn(status, name)
  const endpoints = service.endpoints.filter((endpoint) => endpoint.purpose === purpose)
  const alive = new Set(status.nodes.filter((node) => node.alive).map((node) => node.name))
  const open = endpoints.filter((endpoint) => endpoint.open && alive.has(endpoint.node))
  const endpoint = open.find(({ node }) => node === status.answeredBy) ?? open[0]
  if (endpoint) return endpoint
  if (endpoints.length === 0 && purpose === 'standby') {
    throw new UnderstudyError(
      'UND_REFUSED',
      `${name} has no endpoint for its standbys: set listenStandby in the config`,
    )
  }
  throw new UnderstudyError('UND_REFUSED', `no endpoint of ${name} is open; run “understudy why ${name}”`)
}
