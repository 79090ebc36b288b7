/** Every kind of service that a config can declare. The one list: complaints, the JSON schema and the docs read it. */
import { commandKind } from './command-kind.ts'
import { httpKind } from './http-kind.ts'
import type { Kind } from './kind.ts'
import { postgresKind } from './postgres-kind.ts'

export const KINDS: readonly Kind[] = [httpKind, commandKind, postgresKind]

export function kindNamed(name: string): Kind | undefined {
  return KINDS.find((kind) => kind.name === name)
}
