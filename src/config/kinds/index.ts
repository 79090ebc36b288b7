/** Every kind of service that a config can declare. The one list: complaints, the JSON schema and the docs read it. */
import { commandKind } from './command.ts'
import { httpKind } from './http.ts'
import type { Kind } from './kind.ts'

export const KINDS: readonly Kind[] = [httpKind, commandKind]

export function kindNamed(name: string): Kind | undefined {
  return KINDS.find((kind) => kind.name === name)
}
