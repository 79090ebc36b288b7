/** The types of secret-types.ts as JSON Schema. */
import { count, flag, list, moment, name, object, optional, type Schema, text } from './schema-words.ts'
import type { RemoveSecretRequest, SecretAccepted, SecretEntry, SetSecretRequest } from './secret-types.ts'

export type SecretSchemaName = 'SecretEntry' | 'SetSecretRequest' | 'RemoveSecretRequest' | 'SecretAccepted'

export const secretSchemas: Readonly<Record<SecretSchemaName, Schema>> = {
  SecretEntry: object<SecretEntry>({ name, version: count, at: moment, by: text, services: list(name) }),
  SetSecretRequest: object<SetSecretRequest>({ value: name, by: optional(text) }),
  RemoveSecretRequest: object<RemoveSecretRequest>({ by: optional(text) }),
  SecretAccepted: object<SecretAccepted>({ version: count, changed: flag, what: text }),
}
