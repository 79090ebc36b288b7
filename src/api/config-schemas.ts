/** config-types.ts once more, as JSON Schema. A compiled config is described by its type alone (core/model.ts). */
import { count, list, moment, name, nameOrNull, object, oneOf, type Schema, text } from './schema-words.ts'

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
const source = object({ name, text })
const spec: Schema = { type: 'object' }

export const configSchemas: Readonly<Record<ConfigSchemaName, Schema>> = {
  ConfigEntry: object(entry),
  ConfigContent: object({ ...entry, spec, source: { ...source, type: ['object', 'null'] } }),
  ConfigStatus: object({
    number: count,
    hash: text,
    at: moment,
    by: text,
    message: text,
    leaving: list(name),
    removed: list(name),
    refused: nameOrNull,
  }),
  RolloutStatus: object({ state: oneOf('rolling', 'stopped'), updated: count, of: count, why: text }),
  ApplyRequest: object({ spec, expect: count, version: name, schema: count, source, message: text, by: text }, [
    'schema',
    'source',
    'message',
    'by',
  ]),
  RollbackRequest: object({ to: count, expect: count, message: text, by: text }, ['expect', 'message', 'by']),
  AbortRequest: object({ expect: count, by: text }, ['expect', 'by']),
  ServiceRequest: object({ by: text }, ['by']),
  ConfigAccepted: object({ number: count, what: text }),
}
