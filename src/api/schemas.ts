/** api-types.ts once more, as JSON Schema for the OpenAPI page. A test holds real answers against these. */
import { type ConfigSchemaName, configSchemas } from './config-schemas.ts'
import {
  count,
  flag,
  list,
  moment,
  name,
  nameOrNull,
  number,
  object,
  oneOf,
  type Schema,
  text,
} from './schema-words.ts'
import { type SecretSchemaName, secretSchemas } from './secret-schemas.ts'

export type { Schema }

const numberOrNull = { type: ['number', 'null'], minimum: 0 }
const countOrNull = { type: ['integer', 'null'], minimum: 0 }
const counts = { type: 'object', additionalProperties: count }
export const REDUNDANCY_STATES = ['redundant', 'not-redundant', 'degraded', 'unhealthy'] as const

export function reference(schema: SchemaName): Schema {
  return { $ref: `#/components/schemas/${schema}` }
}

export type SchemaName =
  | ConfigSchemaName
  | SecretSchemaName
  | 'Status'
  | 'NodeStatus'
  | 'ServiceStatus'
  | 'InstanceStatus'
  | 'EndpointStatus'
  | 'EventRecord'
  | 'RedundancyState'
  | 'ExpectedRto'
  | 'Receipt'
  | 'SessionsSummary'
  | 'Explanation'
  | 'SwitchoverRequest'
  | 'ResizeRequest'
  | 'Accepted'
  | 'Health'
  | 'Refusal'

export const SCHEMAS: Readonly<Record<SchemaName, Schema>> = {
  ...configSchemas,
  ...secretSchemas,
  Status: object(
    {
      cluster: name,
      answeredBy: name,
      at: moment,
      store: object({ kind: name, writable: flag, why: text }),
      protocol: count,
      nodes: list(reference('NodeStatus')),
      services: list(reference('ServiceStatus')),
      config: reference('ConfigStatus'),
    },
    ['protocol', 'config'],
  ),
  NodeStatus: object(
    {
      name,
      address: name,
      zone: name,
      region: name,
      alive: flag,
      state: oneOf('alive', 'suspect', 'lost', 'unknown'),
      drained: flag,
      leaving: flag,
      agentPid: countOrNull,
      balancerPid: countOrNull,
      fencePid: countOrNull,
      version: nameOrNull,
      balancerVersion: nameOrNull,
      fenceVersion: nameOrNull,
      protocol: countOrNull,
    },
    ['leaving', 'version', 'balancerVersion', 'fenceVersion', 'protocol'], // agents of earlier versions do not say them
  ),
  ServiceStatus: object(
    {
      name,
      kind: name,
      redundancy: oneOf('active-active', 'active-passive'),
      term: count,
      primary: nameOrNull,
      healthy: flag,
      why: text,
      readOnly: nameOrNull,
      wanted: count,
      quorum: { ...object({ k: count, standbys: list(name), wanted: count }), type: ['object', 'null'] },
      rule: text,
      instances: list(reference('InstanceStatus')),
      endpoints: list(reference('EndpointStatus')),
      redundancyState: reference('RedundancyState'),
      expectedRto: reference('ExpectedRto'),
      rollout: reference('RolloutStatus'),
      restarts: count,
      stopped: object({ at: moment, by: text }),
    },
    ['expectedRto', 'rollout', 'restarts', 'stopped'],
  ),
  RedundancyState: object({
    state: oneOf(...REDUNDANCY_STATES),
    wanted: count,
    there: count,
    oneMoreLoss: { type: ['string', 'null'], enum: ['nothing', 'stops-writes', 'stops-service', null] },
    missing: list(object({ what: oneOf('replica', 'instance', 'endpoint', 'store'), node: nameOrNull, why: text })),
    summary: text,
  }),
  ExpectedRto: object({ ifPrimaryDiesMs: numberOrNull, ifNodeIsLostMs: numberOrNull, why: text }),
  InstanceStatus: object(
    {
      node: name,
      role: oneOf('active', 'primary', 'standby', 'none'),
      state: oneOf('stopped', 'starting', 'running', 'stopping', 'unknown'),
      healthy: flag,
      note: text,
      pid: countOrNull,
      port: countOrNull,
      failures: count,
      retryInMs: number,
      outdated: text,
      lagBytes: count,
    },
    ['outdated', 'lagBytes'],
  ),
  EndpointStatus: object({
    node: name,
    purpose: oneOf('serving', 'primary', 'standby'),
    protocol: oneOf('http', 'tcp', 'postgres'),
    host: name,
    port: count,
    open: flag,
  }),
  EventRecord: object(
    {
      id: name,
      at: moment,
      node: name,
      service: nameOrNull,
      rule: name,
      kind: oneOf('noticed', 'done', 'failed', 'ended', 'told'),
      why: text,
      repeated: count,
    },
    ['repeated'],
  ),
  Receipt: object(
    {
      id: name,
      service: name,
      kind: oneOf('failover', 'switchover', 'repair'),
      rule: name,
      why: text,
      from: nameOrNull,
      to: name,
      term: count,
      noticedAt: moment,
      marks: list(object({ name, atMs: number })),
      backAfterMs: number,
      candidates: list(object({ node: name, able: flag, why: text })),
      sessions: reference('SessionsSummary'),
    },
    ['candidates', 'sessions'],
  ),
  SessionsSummary: object({ held: count, moved: count, cut: counts, longestHoldMs: number, unheard: list(name) }),
  Explanation: object({
    service: name,
    now: text,
    problems: list(object({ rule: name, evidence: text, why: text, node: name })),
    candidates: list(object({ node: name, able: flag, why: text })),
    recent: list(reference('EventRecord')),
  }),
  SwitchoverRequest: object({ service: name, to: name }, ['to']),
  ResizeRequest: object({ service: name, instances: count, degrade: oneOf('block', 'run-alone') }, ['degrade']),
  Accepted: object({ id: name, what: text }),
  Health: object({ ok: flag, node: name }),
  Refusal: object({ error: object({ code: name, message: text }) }),
}
