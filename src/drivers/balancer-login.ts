import type { SessionOptions } from '../core/replicated/session-counts.ts'

/** Secrets of a balancer that speaks a service's own protocol. */
export interface BalancerNeeds {
  /** The login of the balancer itself. */
  readonly login: { readonly user: string; readonly password: string; readonly database: string }
  /** With which certificate it speaks TLS to clients: the node's own one, none, or two PEM files. */
  readonly tls: 'own' | 'none' | { readonly cert: string; readonly key: string }
  /** How sessions are moved of which something is not known; without it, they are closed. */
  readonly sessions?: SessionOptions
}
