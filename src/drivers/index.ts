/** The one list of kinds. A new kind of service is one folder here, one line below, and its options in the config room. */

import type { ServiceSpec } from '../core/model.ts'
import { UnderstudyError } from '../errors.ts'
import type { BalancerNeeds } from './balancer-login.ts'
import type { Driver } from './driver.ts'
import { createPostgresDriver, type PostgresDriverParts } from './postgres/driver.ts'
import { balancerNeeds as postgresBalancerNeeds } from './postgres/server/balancer-role.ts'
import { createProcessDriver, type ProcessDriverParts } from './process/driver.ts'

/** What any of them may need. */
export type DriverParts = ProcessDriverParts & PostgresDriverParts

const KINDS: Readonly<Record<string, (parts: DriverParts) => Driver>> = {
  http: createProcessDriver,
  command: createProcessDriver,
  postgres: createPostgresDriver,
}

/** The driver of `parts.service.kind`. */
export function createDriver(parts: DriverParts): Driver {
  const create = Object.hasOwn(KINDS, parts.service.kind) ? KINDS[parts.service.kind] : undefined
  if (!create) {
    const known = Object.keys(KINDS).join(', ')
    throw new UnderstudyError('UND_CONFIG_INVALID', `no driver for kind "${parts.service.kind}"; there are: ${known}`)
  }
  return create(parts)
}

const NEEDS: Readonly<Record<string, (service: ServiceSpec, secretFor: DriverParts['secretFor']) => BalancerNeeds>> = {
  postgres: postgresBalancerNeeds,
}

/** The secrets of a service's balancers; undefined for kinds that need none. */
export function balancerNeedsOf(service: ServiceSpec, secretFor: DriverParts['secretFor']): BalancerNeeds | undefined {
  return Object.hasOwn(NEEDS, service.kind) ? NEEDS[service.kind]?.(service, secretFor) : undefined
}
