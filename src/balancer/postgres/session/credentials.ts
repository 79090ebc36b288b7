/**
 * With what a session can be logged in again. Known at once for most logins; for SCRAM a server's verifier is needed
 * too, which is looked up in the background while the client already works, once for each user. Should the server be
 * lost before it answers, the next one is asked: it has the same data.
 */
import type { CutReason } from '../../../core/replicated/session-counts.ts'
import type { BalancerSecret } from '../../control-protocol.ts'
import type { Place, Verifiers } from '../verifiers.ts'
import type { Credential, RelayedLogin } from './relayed-login.ts'

export class Credentials {
  readonly #verifiers: Verifiers
  readonly #overheard: RelayedLogin
  readonly #user: string
  readonly #secret: () => BalancerSecret | null
  #credential: Credential | undefined

  constructor(verifiers: Verifiers, overheard: RelayedLogin, user: string, secret: () => BalancerSecret | null) {
    this.#verifiers = verifiers
    this.#overheard = overheard
    this.#user = user
    this.#secret = secret
  }

  /** Why there can be none. */
  get obstacle(): CutReason | undefined {
    const credential = this.#known()
    if (credential) return credential.kind === 'none' ? credential.reason : undefined
    return this.#secret() ? undefined : 'no-key'
  }

  /** Asks a server unless it is known already. Never rejects. */
  async learn(place: Place): Promise<Credential> {
    const secret = this.#secret()
    if (!this.#known() && secret) await this.#verifiers.ask(this.#user, place, secret)
    return this.#known() ?? { kind: 'none', reason: 'no-key' }
  }

  #known(): Credential | undefined {
    this.#credential ??= this.#overheard.credential()
    if (this.#credential) return this.#credential
    const verifier = this.#verifiers.known(this.#user)
    const keys = verifier && this.#overheard.learn(verifier)
    if (keys) this.#credential = { kind: 'scram', keys }
    return this.#credential
  }
}
