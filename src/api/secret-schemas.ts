/** secret-types.ts once more, as JSON Schema. */
import { count, flag, list, moment, name, object, type Schema, text } from './schema-words.ts'

export type SecretSchemaName = 'SecretEntry' | 'SetSecretRequest' | 'RemoveSecretRequest' | 'SecretAccepted'

export const secretSchemas: Readonly<Record<SecretSchemaName, Schema>> = {
  SecretEntry: object({ name, version: count, at: moment, by: text, services: list(name) }),
  SetSecretRequest: object({ value: name, by: text }, ['by']),
  RemoveSecretRequest: object({ by: text }, ['by']),
  SecretAccepted: object({ version: count, changed: flag, what: text }),
}
