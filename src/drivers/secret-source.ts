import type { SealedSecret } from '../core/secrets.ts'

/** Where a driver gets secrets from. */
export interface SecretSource {
  /** As the store has it now; undefined: it is not set, or the store was not read yet. */
  sealed(name: string): SealedSecret | undefined
  /** The value. Throws a refusal, in which nothing of the value is. */
  open(name: string, secret: SealedSecret): string
}
