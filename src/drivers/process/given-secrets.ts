/**
 * The secrets that an instance was started with, sealed: its checks run with its environment, also after a newer value was set and
 * before the instance is replaced. Opened where a program is started, and forgotten there.
 */
import { isSecretRef, type SealedSecret, type SecretRef, secretsOf } from '../../core/secrets.ts'
import { refusal } from '../driver-refusal.ts'
import type { SecretSource } from '../secret-source.ts'
import type { ProcessOptions } from './options.ts'

/** By name. */
export type GivenSecrets = Readonly<Record<string, SealedSecret>>

/** What a service is given at its start, of those that are set now. Throws a refusal when one is missing. */
export function secretsNow({ env, secretFiles }: ProcessOptions, source: SecretSource | undefined): GivenSecrets {
  const names = secretsOf({ options: { env, secretFiles } })
  return Object.fromEntries(
    names.map((name) => {
      const found = source?.sealed(name)
      if (!found) throw refusal(`secret “${name}” is not set, as far as this node knows`)
      const { version, keyId, sealed } = found
      return [name, { version, keyId, sealed }]
    }),
  )
}

/** Each variable with its text: as it was written, or opened. */
export function openedIn(
  variables: Readonly<Record<string, string | SecretRef>>,
  given: GivenSecrets,
  source: SecretSource | undefined,
): Record<string, string> {
  const text = (value: string | SecretRef) => (isSecretRef(value) ? opened(value.$secret, given, source) : value)
  return Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, text(value)]))
}

function opened(name: string, given: GivenSecrets, source: SecretSource | undefined): string {
  // Not given: what runs was started from a config without it, and its checks follow the config.
  const secret = given[name] ?? source?.sealed(name)
  if (!secret || !source) throw refusal(`secret “${name}” is not known here`)
  return source.open(name, secret)
}
