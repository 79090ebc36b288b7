/**
 * The secrets of a balancer: its own login to a database, and the key of its certificate. The agent sends them over the
 * control socket; they are kept in memory and never written down, unlike the routing table. So a balancer that was
 * restarted without an agent serves on, but can neither speak TLS nor move sessions until the agent is back.
 */
import type { ServiceName } from '../core/model.ts'
import type { SessionOptions } from '../core/replicated/session-counts.ts'
import type { BalancerSecret } from './control-protocol.ts'

/** Null: nothing was told about that service. Asked at each use, because certificates are renewed. */
export type SecretOf = (service: ServiceName) => BalancerSecret | null

export class Secrets {
  #byService: ReadonlyMap<ServiceName, BalancerSecret> = new Map()

  readonly of: SecretOf = (service) => this.#byService.get(service) ?? null

  get all(): readonly BalancerSecret[] {
    return [...this.#byService.values()]
  }

  /** Replaces all of them. Says what is wrong with a message that is not whole; then the last ones stay. */
  take(value: unknown): string | undefined {
    if (!Array.isArray(value) || !value.every(isSecret)) return 'not the secrets of endpoints'
    this.#byService = new Map(value.map((secret) => [secret.service, secret]))
    return undefined
  }
}

function isSecret(value: unknown): value is BalancerSecret {
  if (typeof value !== 'object' || value === null) return false
  const { service, user, password, database, tls, sessions } = value as Partial<Record<keyof BalancerSecret, unknown>>
  return (
    [service, user, password, database].every((text) => typeof text === 'string') &&
    isTls(tls) &&
    (sessions === undefined || isSessions(sessions))
  )
}

function isSessions(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { customSettings, trustedFunctions, whenUnknown } = value as Partial<Record<keyof SessionOptions, unknown>>
  const areTexts = [customSettings, trustedFunctions].every(
    (texts) => Array.isArray(texts) && texts.every((text) => typeof text === 'string'),
  )
  return areTexts && (whenUnknown === 'close' || whenUnknown === 'move')
}

function isTls(tls: unknown): boolean {
  if (tls === null) return true
  if (typeof tls !== 'object') return false
  const { cert, key } = tls as { cert?: unknown; key?: unknown }
  return typeof cert === 'string' && typeof key === 'string'
}
