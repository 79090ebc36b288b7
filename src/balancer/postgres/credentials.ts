/**
 * With what a session can be logged in again. Known at once for most logins; for SCRAM the server's verifier is needed too,
 * which is looked up behind the client's back while it already works, once for each user.
 */
import type { House } from '../entrance.ts'
import type { Credential, Overheard } from './overheard.ts'
import type { Place, Verifiers } from './verifiers.ts'

export class Credentials {
  readonly #verifiers: Verifiers
  readonly #overheard: Overheard
  /** Until it is known: there is none. */
  credential: Credential = { kind: 'none', reason: 'no-key' }

  constructor(verifiers: Verifiers, overheard: Overheard) {
    this.#verifiers = verifiers
    this.#overheard = overheard
  }

  /** The login has succeeded at `place`. */
  learn(user: string, place: Place, service: string, { secretOf }: Pick<House, 'secretOf'>): void {
    const known = this.#overheard.credential()
    if (known) {
      this.credential = known
      return
    }
    if (this.#take(user)) return
    const secret = secretOf(service)
    if (secret) void this.#verifiers.ask(user, place, secret).then(() => this.#take(user))
  }

  #take(user: string): boolean {
    const verifier = this.#verifiers.known(user)
    const keys = verifier && this.#overheard.learn(verifier)
    if (keys) this.credential = { kind: 'scram', keys }
    return keys !== undefined
  }
}
