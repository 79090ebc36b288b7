/** The types of api-types.ts as JSON Schema, for the OpenAPI page. The compiler compares the fields; a test holds real answers against them. */
import type {
  Accepted,
  EndpointStatus,
  EventRecord,
  ExpectedRto,
  Explanation,
  InstanceStatus,
  NodeStatus,
  Receipt,
  RedundancyState,
  Refusal,
  ResizeRequest,
  ServiceStatus,
  SessionsSummary,
  Status,
  SwitchoverRequest,
} from './api-types.ts'
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
  optional,
  type Schema,
  text,
} from './schema-words.ts'
import { type SecretSchemaName, secretSchemas } from './secret-schemas.ts'

export type { Schema }

const numberOrNull: Schema = { type: ['number', 'null'], minimum: 0 }
const countOrNull: Schema = { type: ['integer', 'null'], minimum: 0 }
const counts: Schema = { type: 'object', additionalProperties: count }
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
  Status: object<Status>({
    cluster: name,
    answeredBy: name,
    at: moment,
    store: object({ kind: name, writable: flag, why: text }),
    protocol: optional(count),
    nodes: list(reference('NodeStatus')),
    services: list(reference('ServiceStatus')),
    config: optional(reference('ConfigStatus')),
  }),
  NodeStatus: object<NodeStatus>({
    name,
    address: name,
    zone: name,
    region: name,
    alive: flag,
    state: oneOf('alive', 'suspect', 'lost', 'unknown'),
    drained: flag,
    // Agents of earlier versions do not say what is optional here.
    leaving: optional(flag),
    agentPid: countOrNull,
    balancerPid: countOrNull,
    fencePid: countOrNull,
    version: optional(nameOrNull),
    balancerVersion: optional(nameOrNull),
    fenceVersion: optional(nameOrNull),
    protocol: optional(countOrNull),
  }),
  ServiceStatus: object<ServiceStatus>({
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
    expectedRto: optional(reference('ExpectedRto')),
    rollout: optional(reference('RolloutStatus')),
    restarts: optional(count),
    stopped: optional(object({ at: moment, by: text })),
  }),
  RedundancyState: object<RedundancyState>({
    state: oneOf(...REDUNDANCY_STATES),
    wanted: count,
    there: count,
    oneMoreLoss: { type: ['string', 'null'], enum: ['nothing', 'stops-writes', 'stops-service', null] },
    missing: list(object({ what: oneOf('replica', 'instance', 'endpoint', 'store'), node: nameOrNull, why: text })),
    summary: text,
  }),
  ExpectedRto: object<ExpectedRto>({ ifPrimaryDiesMs: numberOrNull, ifNodeIsLostMs: numberOrNull, why: text }),
  InstanceStatus: object<InstanceStatus>({
    node: name,
    role: oneOf('active', 'primary', 'standby', 'none'),
    state: oneOf('stopped', 'starting', 'running', 'stopping', 'unknown'),
    healthy: flag,
    note: text,
    pid: countOrNull,
    port: countOrNull,
    failures: count,
    retryInMs: number,
    outdated: optional(text),
    lagBytes: optional(count),
  }),
  EndpointStatus: object<EndpointStatus>({
    node: name,
    purpose: oneOf('serving', 'primary', 'standby'),
    protocol: oneOf('http', 'tcp', 'postgres'),
    host: name,
    port: count,
    open: flag,
  }),
  EventRecord: object<EventRecord>({
    id: name,
    at: moment,
    node: name,
    service: nameOrNull,
    rule: name,
    kind: oneOf('noticed', 'done', 'failed', 'ended', 'told'),
    why: text,
    repeated: optional(count),
  }),
  Receipt: object<Receipt>({
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
    candidates: optional(list(object({ node: name, able: flag, why: text }))),
    sessions: optional(reference('SessionsSummary')),
  }),
  SessionsSummary: object<SessionsSummary>({
    held: count,
    moved: count,
    cut: counts,
    longestHoldMs: number,
    unheard: list(name),
  }),
  Explanation: object<Explanation>({
    service: name,
    now: text,
    problems: list(object({ rule: name, evidence: text, why: text, node: name })),
    candidates: list(object({ node: name, able: flag, why: text })),
    recent: list(reference('EventRecord')),
  }),
  SwitchoverRequest: object<SwitchoverRequest>({ service: name, to: optional(name) }),
  ResizeRequest: object<ResizeRequest>({
    service: name,
    instances: count,
    degrade: optional(oneOf('block', 'run-alone')),
  }),
  Accepted: object<Accepted>({ id: name, what: text }),
  Health: object({ ok: flag, node: name }),
  Refusal: object<Refusal>({ error: object({ code: name, message: text }) }),
}
