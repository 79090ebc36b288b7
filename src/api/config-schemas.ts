/** The types of config-types.ts as JSON Schema. A compiled config is described by its type alone (core/model.ts). */
import type {
  AbortRequest,
  ApplyRequest,
  ConfigAccepted,
  ConfigContent,
  ConfigEntry,
  ConfigSourceText,
  ConfigStatus,
  RollbackRequest,
  RolloutStatus,
  ServiceRequest,
} from './config-types.ts'
import { count, list, moment, name, nameOrNull, object, oneOf, optional, type Schema, text } from './schema-words.ts'

export type ConfigSchemaName =
  | 'ConfigEntry'
  | 'ConfigContent'
  | 'ConfigStatus'
  | 'RolloutStatus'
  | 'ApplyRequest'
  | 'RollbackRequest'
  | 'AbortRequest'
  | 'ServiceRequest'
  | 'ConfigAccepted'

const entry = { number: count, hash: name, at: moment, by: text, message: text, version: text }
const source = object<ConfigSourceText>({ name, text })
const spec: Schema = { type: 'object' }

export const configSchemas: Readonly<Record<ConfigSchemaName, Schema>> = {
  ConfigEntry: object<ConfigEntry>(entry),
  ConfigContent: object<ConfigContent>({ ...entry, spec, source: { ...source, type: ['object', 'null'] } }),
  ConfigStatus: object<ConfigStatus>({
    number: count,
    hash: text,
    at: moment,
    by: text,
    message: text,
    leaving: list(name),
    removed: list(name),
    refused: nameOrNull,
  }),
  RolloutStatus: object<RolloutStatus>({ state: oneOf('rolling', 'stopped'), updated: count, of: count, why: text }),
  ApplyRequest: object<ApplyRequest>({
    spec,
    expect: count,
    version: name,
    schema: optional(count),
    source: optional(source),
    message: optional(text),
    by: optional(text),
  }),
  RollbackRequest: object<RollbackRequest>({
    to: count,
    expect: optional(count),
    message: optional(text),
    by: optional(text),
  }),
  AbortRequest: object<AbortRequest>({ expect: optional(count), by: optional(text) }),
  ServiceRequest: object<ServiceRequest>({ by: optional(text) }),
  ConfigAccepted: object<ConfigAccepted>({ number: count, what: text }),
}
